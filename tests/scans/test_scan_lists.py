"""Finding scans, and the reader within MONAI's own transforms."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from monai.transforms import LoadImage
from PIL import Image

from custom.errors import InputError, MissingFileError
from custom.scans.readers import ScanReader, list_scans

# --- lists


def test_folder_is_listed_with_its_folders(tmp_path: Path) -> None:
    for name in ["b.nii.gz", "a.nii", "sub/c.PNG", ".hidden.nii", ".hidden/d.nii", "notes.txt", "sub/e.json"]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert list_scans(tmp_path) == [str(tmp_path / name) for name in ("a.nii", "b.nii.gz", "sub/c.PNG")]
    assert list_scans(str(tmp_path / "a.nii").replace("a.nii", "sub")) == [str(tmp_path / "sub/c.PNG")]


def test_list_keeps_its_order_and_forgets_repeats(tmp_path: Path) -> None:
    for name in ("b.nii", "a.nii"):
        (tmp_path / name).write_text("x")
    given = [tmp_path / "b.nii", str(tmp_path), tmp_path / "b.nii"]
    assert list_scans(given) == [str(tmp_path / "b.nii"), str(tmp_path / "a.nii")]


def test_nothing_to_list_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"no scan found; known kinds are DICOM"):
        list_scans(tmp_path)
    with pytest.raises(InputError, match="empty list: no scan found"):
        list_scans([])
    with pytest.raises(InputError, match=r"notes\.txt: not a kind of file"):
        list_scans(tmp_path / "notes.txt")
    with pytest.raises(MissingFileError, match="gone: no such file"):
        list_scans(tmp_path / "gone")


# --- as a MONAI reader


# MONAI makes all of its own readers first, and one of them has something to say.
@pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader:UserWarning")
def test_monai_loads_with_the_reader(tmp_path: Path) -> None:
    volume = np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7)
    affine = np.array([[0.7, 0.0, 0.1, -11.0], [0.0, -0.7, 0.2, 22.0], [-0.1, 0.1, 3.0, 33.0], [0.0, 0.0, 0.0, 1.0]])
    path = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(volume, affine), path)
    scan = LoadImage(reader=ScanReader(), ensure_channel_first=True)(path)
    assert scan.shape == (1, 5, 6, 7)
    np.testing.assert_array_equal(scan[0].numpy(), volume)
    np.testing.assert_allclose(scan.affine.numpy(), affine, atol=1e-6)
    assert scan.meta["stored_dtype"] == "int16"


@pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader:UserWarning")
def test_monai_reader_keeps_pictures_as_rows_and_columns(tmp_path: Path) -> None:
    Image.fromarray(np.arange(60, dtype=np.uint8).reshape(6, 10)).save(tmp_path / "a.png")
    assert LoadImage(reader="custom.scans.readers.ScanReader")(tmp_path / "a.png").shape == (6, 10)


def test_monai_reader_knows_its_files_and_takes_one(tmp_path: Path) -> None:
    reader = ScanReader()
    assert reader.verify_suffix(["a.nii", "b.NII.GZ"])
    assert not reader.verify_suffix("a.dcm")
    with pytest.raises(InputError, match="one scan at a time can be read, got 2"):
        reader.read([tmp_path / "a.nii", tmp_path / "b.nii"])
