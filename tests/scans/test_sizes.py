"""What headers claim, against the memory at hand."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from dicom_files import Layout, save, write_classic, write_enhanced
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless

from custom import memory
from custom.errors import InputError, UsageError
from custom.scans import read_scan
from custom.transforms import LoadScand

_SHAPE = (40, 50, 10)


def _nifti(folder: Path, name: str) -> Path:
    nib.save(nib.Nifti1Image(np.arange(20_000, dtype=np.int16).reshape(_SHAPE), np.eye(4)), folder / name)
    return folder / name


def _picture(folder: Path) -> Path:
    Image.fromarray(np.arange(20_000, dtype=np.uint8).reshape(100, 200)).save(folder / "a.png")
    return folder / "a.png"


@pytest.mark.parametrize("kind", ["a.nii", "a.nii.gz", "a.png", "classic", "enhanced"])
def test_scans_larger_than_the_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """20,000 voxels of float32 alone are 80,000 bytes, and the limit raises what is free."""
    monkeypatch.setattr(memory, "memory_at_hand", lambda: 70_000)
    monkeypatch.setattr(memory, "memory_in_use", lambda: 1_000_000)
    layout = Layout(shape=_SHAPE)
    path = {
        "a.png": _picture,
        "classic": lambda folder: write_classic(folder, layout)[0].parent,
        "enhanced": lambda folder: write_enhanced(folder / "a.dcm", layout),
    }.get(kind, lambda folder: _nifti(folder, kind))(tmp_path)
    with pytest.raises(InputError, match=r"the header promises .* MB of memory to read, and 0\.07 MB are free"):
        read_scan(path)
    with pytest.raises(InputError, match=r"0\.06 MB are left of the memory_limit of 1\.06 MB"):
        read_scan(path, memory_limit=1.06)
    assert LoadScand("image", memory_limit="11")({"image": path})["image"].numel() == 20_000


def test_sizes_are_compared_before_anything_is_read(tmp_path: Path) -> None:
    """Files that cannot be read, as their voxels are not there: what the header claims is said first."""
    header = nib.Nifti1Header()
    header.set_data_shape((3000, 3000, 3000))
    header["vox_offset"], header["magic"] = 352, b"n+1"
    with (tmp_path / "holes.nii").open("wb") as stream:
        stream.write(bytes(header.binaryblock) + bytes(4))
        stream.truncate(352 + 4 * 3000**3)
    with pytest.raises(
        InputError, match=r"holes\.nii: the header promises 3000 x 3000 x 3000 values, which take 216,000 MB"
    ):
        read_scan(tmp_path / "holes.nii", memory_limit=200_000)
    file = write_classic(tmp_path / "rle", Layout(shape=(6, 5, 1)))[0]
    data = pydicom.dcmread(file)
    data.file_meta.TransferSyntaxUID = RLELossless
    data.Rows = data.Columns = 8192
    data.PixelData = encapsulate([bytes(2**22)])
    data["PixelData"].is_undefined_length = True
    save(data, file)
    with pytest.raises(InputError, match=r"promises 8192 x 8192 x 1 x 1 values, which take 268 MB"):
        read_scan(file, memory_limit=200)


def test_data_behind_the_voxels_are_not_unpacked(tmp_path: Path) -> None:
    path = _nifti(tmp_path, "a.nii.gz")
    path.write_bytes(path.read_bytes() + gzip.compress(bytes(2**20)) * 2**6)
    with pytest.raises(InputError, match="the file holds more"):
        read_scan(path)


@pytest.mark.parametrize("limit", [0, -1, "much", "nan", True])
def test_a_limit_is_a_number_of_mb(limit: float) -> None:
    with pytest.raises(UsageError, match=r"memory_limit .* is not a number of MB above 0"):
        LoadScand("image", memory_limit=limit)
