"""NIfTI files: units, forms and frames as they are read, and results in place."""

from __future__ import annotations

import gzip
import logging
import re
import struct
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from tiny_scans import SWAPPED

from custom.errors import InputError
from custom.scans import ResultOptions, ScanHeader, read_scan, write_result, write_scan

AFFINE = np.array([[0.7, 0.0, 0.1, -11.0], [0.0, -0.7, 0.2, 22.0], [-0.1, 0.1, 3.0, 33.0], [0.0, 0.0, 0.0, 1.0]])


def _volume(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.arange(np.prod(shape or (5, 6, 7))).reshape(shape or (5, 6, 7)).astype(dtype)


def _save(path: Path, array: np.ndarray, step: float = 1.0, unit: str = "msec", start: float = 0.0) -> Path:
    image = nib.Nifti1Image(array, AFFINE, dtype=array.dtype)
    image.header.set_xyzt_units("mm", unit)
    if array.ndim > 3:
        image.header["pixdim"][4] = step
        image.header["toffset"] = start
    nib.save(image, path)
    return path


def _changed(path: Path, offset: int, packing: str, *values: float) -> Path:
    """Change a header behind nibabel's back, which would not write such a one."""
    packed = path.suffix == ".gz"
    content = bytearray(gzip.decompress(path.read_bytes()) if packed else path.read_bytes())
    struct.pack_into(packing, content, offset, *values)
    path.write_bytes(gzip.compress(bytes(content)) if packed else bytes(content))
    return path


# --- reading


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize(
    ("offset", "packing", "value", "words"),
    [
        (108, "<f", 0, r"vox_offset is 0, so the voxels would begin within the header; the first place is 352"),
        (108, "<f", 300, "vox_offset is 300, so the voxels would begin within"),
        (108, "<f", 1e9, r"vox_offset is 1e\+09, so the voxels would begin far behind it"),
        (108, "<f", float("nan"), "vox_offset is nan"),
        (108, "<f", 368, "truncated|cannot be read as NIfTI"),
        (42, "<h", 4, "the header promises 4 x 6 x 7 voxels of type int16 and the file holds more"),
        (42, "<h", 6, "truncated|cannot be read as NIfTI"),
        (70, "<h", 2, "5 x 6 x 7 voxels of type uint8 and the file holds more"),
        (112, "<f", float("nan"), "scl_slope is nan and scl_inter 0"),
        (112, "<f", float("inf"), "scl_slope is inf"),
        (116, "<f", float("-inf"), "scl_slope is 1 and scl_inter -inf"),
    ],
)
def test_a_header_that_does_not_fit_its_voxels_is_refused(
    tmp_path: Path, name: str, offset: int, packing: str, value: float, words: str
) -> None:
    path = _changed(_save(tmp_path / name, _volume(dtype=np.int16)), offset, packing, value)
    with pytest.raises(InputError, match=words):
        read_scan(path)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("more", [b"x", b"x" * 5000])
def test_more_than_the_header_says_is_refused(tmp_path: Path, kind: Any, name: str, more: bytes) -> None:
    content = kind(_volume(dtype=np.int16), AFFINE).to_bytes()
    packed = name.endswith("gz")
    for behind, is_read in ((b"", True), (more, False)):
        (tmp_path / name).write_bytes(gzip.compress(content + behind) if packed else content + behind)
        if is_read:
            np.testing.assert_array_equal(read_scan(tmp_path / name)[0].numpy(), _volume())
        else:
            with pytest.raises(InputError, match="the file holds more, so sizes or type are wrong"):
                read_scan(tmp_path / name)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_extensions_are_passed_over_and_never_longer_than_their_room(tmp_path: Path, name: str) -> None:
    image = nib.Nifti1Image(_volume(dtype=np.int16), AFFINE)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"made up " * 10))
    nib.save(image, tmp_path / name)
    np.testing.assert_array_equal(read_scan(tmp_path / name)[0].numpy(), _volume())
    with pytest.raises(InputError, match="cannot be read as NIfTI"):
        read_scan(_changed(tmp_path / name, 352, "<i", 2**31 - 16))


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("a.nii", np.uint8), ("a.nii.gz", np.int16), ("a.NII.GZ", np.uint16), ("a.nii", np.int32), ("a.nii", np.float64)],
)
def test_nifti_of_every_type(tmp_path: Path, name: str, dtype: Any) -> None:
    stored = _save(tmp_path / "stored.nii", _volume(dtype=dtype)).read_bytes()
    path = tmp_path / name
    path.write_bytes(gzip.compress(stored) if name.lower().endswith("gz") else stored)
    scan = read_scan(path)
    assert isinstance(scan, MetaTensor)
    assert scan.dtype == torch.float32
    assert scan.shape == (1, 5, 6, 7)
    np.testing.assert_array_equal(scan[0].numpy(), _volume())
    assert scan.affine.dtype == torch.float64
    np.testing.assert_allclose(scan.affine.numpy(), AFFINE, atol=1e-6)
    assert scan.meta["filename_or_obj"] == str(path)
    header = scan.meta["header"]
    assert (header.source.format, header.stored_dtype) == ("nifti", np.dtype(dtype).name)


def test_slope_and_intercept_are_applied_and_kept(tmp_path: Path) -> None:
    image = nib.Nifti1Image(_volume(dtype=np.int16), AFFINE)
    image.header.set_slope_inter(0.25, -3.0)
    nib.save(image, tmp_path / "scan.nii")
    scan = read_scan(tmp_path / "scan.nii")
    np.testing.assert_allclose(scan[0].numpy(), _volume() * 0.25 - 3.0)
    assert (scan.meta["header"].slope, scan.meta["header"].intercept) == (0.25, -3.0)


def test_big_endian_nifti(tmp_path: Path) -> None:
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    nib.save(nib.Nifti1Image(_volume(dtype=">i2"), AFFINE, header), tmp_path / "scan.nii")
    scan = read_scan(tmp_path / "scan.nii")
    np.testing.assert_array_equal(scan[0].numpy(), _volume())
    assert scan.meta["header"].stored_dtype == "int16"


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        ((5, 6, 7, 1), (1, 5, 6, 7)),
        ((5, 6, 1), (1, 5, 6, 1)),
        ((5, 6), (1, 5, 6)),
        ((5, 6, 1, 4), (4, 5, 6, 1)),
        ((5, 6, 1, 4, 1), (4, 5, 6, 1)),
    ],
)
def test_spatial_axes_stay_and_single_frames_go(tmp_path: Path, stored: tuple[int, ...], read: tuple[int, ...]) -> None:
    scan = read_scan(_save(tmp_path / "a.nii", _volume(*stored)))
    assert scan.shape == read
    header = scan.meta["header"]
    assert header.frames == read[0]
    if read[0] == 1:
        assert (header.frame_axis, header.frame_values) == ("", (0.0,))


def test_sform_wins_and_the_difference_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = nib.Nifti1Image(_volume(), AFFINE)
    image.set_sform(np.diag([1.0, 2.0, 3.0, 1.0]), 1)
    image.set_qform(np.diag([4.0, 5.0, 6.0, 1.0]), 1)
    nib.save(image, tmp_path / "scan.nii")
    with caplog.at_level(logging.WARNING):
        scan = read_scan(tmp_path / "scan.nii")
    np.testing.assert_allclose(scan.affine.numpy(), np.diag([1.0, 2.0, 3.0, 1.0]))
    assert re.search(r"scan\.nii: sform .* and qform .* mm apart; the sform is used", caplog.text)


def test_agreeing_forms_are_not_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    affine = np.diag([0.7, -0.7, 3.0, 1.0])
    image = nib.Nifti1Image(_volume(), affine)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    nib.save(image, tmp_path / "scan.nii")
    with caplog.at_level(logging.WARNING):
        read_scan(tmp_path / "scan.nii")
    assert not caplog.records


def test_qform_alone_is_used(tmp_path: Path) -> None:
    affine = np.array([[0.0, -2.0, 0.0, 5.0], [1.0, 0.0, 0.0, 6.0], [0.0, 0.0, 3.0, 7.0], [0.0, 0.0, 0.0, 1.0]])
    image = nib.Nifti1Image(_volume(), affine)
    image.set_sform(None)
    image.set_qform(affine, 1)
    nib.save(image, tmp_path / "scan.nii")
    scan = read_scan(tmp_path / "scan.nii")
    np.testing.assert_allclose(scan.affine.numpy(), affine, atol=1e-6)
    assert scan.meta["header"].xform_code == 1


def test_no_code_is_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = nib.Nifti1Image(_volume(), np.diag([2.0, 3.0, 4.0, 1.0]))
    image.set_sform(None)
    image.set_qform(None)
    nib.save(image, tmp_path / "scan.nii")
    with caplog.at_level(logging.WARNING):
        scan = read_scan(tmp_path / "scan.nii")
    assert "neither sform nor qform is set" in caplog.text
    np.testing.assert_allclose(np.abs(np.diag(scan.affine.numpy())), (2.0, 3.0, 4.0, 1.0))


def test_every_single_byte_of_a_header_may_be_wrong(tmp_path: Path) -> None:
    """A changed byte gives a scan or one clear error, and nothing else."""
    rng = np.random.default_rng(11)
    good = nib.Nifti1Image(_volume(), AFFINE).to_bytes()
    path = tmp_path / "mutated.nii"
    read, refused = 0, []
    for offset in range(348):
        content = bytearray(good)
        content[offset] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(content))
        try:
            read_scan(path)
            read += 1
        except InputError as err:
            refused.append(str(err))
    assert min(read, len(refused)) > 10
    assert all(message.startswith(f"{path}: ") for message in refused)


def test_real_brain_reads_in_its_own_units(shared_data: Path) -> None:
    path = shared_data / "brain_t1" / "sub-20_T1w.nii.gz"
    scan = read_scan(path)
    stored = nib.load(path)
    np.testing.assert_allclose(scan[0].numpy(), stored.get_fdata(), rtol=1e-6)
    np.testing.assert_allclose(scan.affine.numpy(), stored.affine)
    assert scan.meta["header"].slope != 1.0
    assert 1000.0 < float(scan.max()) < 3000.0


# --- frames


def test_frames_come_first_and_contiguous(tmp_path: Path) -> None:
    array = _volume(3, 4, 5, 6)
    scan = read_scan(_save(tmp_path / "a.nii.gz", array))
    assert scan.shape == (6, 3, 4, 5)
    assert scan.is_contiguous()
    for number in range(6):
        np.testing.assert_array_equal(scan[number].numpy(), array[..., number])
    np.testing.assert_allclose(scan.affine.numpy(), AFFINE, atol=1e-6)


@pytest.mark.parametrize(
    ("unit", "step", "start", "axis", "values"),
    [
        ("msec", 40.0, 15.0, "time", [15.0, 55.0, 95.0]),
        ("sec", 0.0333, 0.0, "time", [0.0, 33.3, 66.6]),
        ("usec", 2500.0, 500.0, "time", [0.5, 3.0, 5.5]),
        ("unknown", 1.0, 0.0, "frame", [0.0, 1.0, 2.0]),
        ("hz", 12.5, 50.0, "frame", [50.0, 62.5, 75.0]),
        ("sec", 0.0, 3.0, "frame", [0.0, 1.0, 2.0]),
        ("sec", np.nan, np.nan, "frame", [0.0, 1.0, 2.0]),
    ],
)
def test_times_are_in_milliseconds_where_there_is_a_unit_of_time(
    tmp_path: Path, unit: str, step: float, start: float, axis: str, values: list[float]
) -> None:
    header = read_scan(_save(tmp_path / "a.nii", _volume(3, 4, 2, 3), step, unit, start)).meta["header"]
    assert header.frame_axis == axis
    assert header.frame_values == pytest.approx(values, rel=1e-9)


@settings(max_examples=10)
@given(
    shape=st.tuples(*[st.integers(1, 4)] * 3, st.integers(2, 5)),
    unit=st.sampled_from(["sec", "msec", "usec", "unknown"]),
    step=st.sampled_from([0.0333, 1.0, 41.7]),
)
def test_frames_are_written_as_they_were_read(
    tmp_path_factory: pytest.TempPathFactory, shape: tuple[int, ...], unit: str, step: float
) -> None:
    folder = tmp_path_factory.mktemp("frames")
    source = _save(folder / "a.nii", _volume(*shape), step, unit, start=2 * step)
    scan = read_scan(source)
    written = write_result(scan, scan.affine, scan.meta["header"], ResultOptions(folder / "out"))
    before, after = nib.load(source), nib.load(written)
    np.testing.assert_array_equal(after.get_fdata(), before.get_fdata())
    assert after.header.get_xyzt_units() == before.header.get_xyzt_units()
    assert float(after.header["pixdim"][4]) == pytest.approx(float(before.header["pixdim"][4]), rel=1e-7)
    assert float(after.header["toffset"]) == pytest.approx(float(before.header["toffset"]), rel=1e-7)
    values = [image.meta["header"].frame_values for image in (read_scan(written), scan)]
    assert values[0] == pytest.approx(values[1], rel=1e-7)


def test_echoes_are_written_without_a_unit_of_time(tmp_path: Path) -> None:
    header = ScanHeader(frame_axis="echo", frame_values=(4.6, 9.2))
    write_scan(torch.rand(2, 3, 4, 5), AFFINE, header, tmp_path / "a.nii")
    stored = nib.load(tmp_path / "a.nii").header
    assert stored.get_xyzt_units()[1] == "unknown"
    assert float(stored["pixdim"][4]) == pytest.approx(4.6)


def test_uneven_times_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scan = torch.rand(3, 3, 4, 5)
    with caplog.at_level(logging.WARNING):
        write_scan(scan, SWAPPED, ScanHeader(frame_axis="time", frame_values=(0, 33, 67)), tmp_path / "even.nii")
        assert not caplog.records
        write_scan(scan, SWAPPED, ScanHeader(frame_axis="time", frame_values=(0, 20, 80)), tmp_path / "odd.nii")
    assert "odd.nii: the frames are not evenly spaced (0, 20, 80)" in caplog.text
    assert float(nib.load(tmp_path / "odd.nii").header["pixdim"][4]) == pytest.approx(0.04)
