from __future__ import annotations

import gzip
import io
import logging
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from custom.errors import InputError, MissingFileError
from custom.scans.readers import check_header, read_scan

AFFINE = np.array([[0.7, 0.0, 0.1, -11.0], [0.0, -0.7, 0.2, 22.0], [-0.1, 0.1, 3.0, 33.0], [0.0, 0.0, 0.0, 1.0]])


def _volume(shape: tuple[int, ...] = (5, 6, 7), dtype: Any = np.float32) -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def _save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE, **header: Any) -> Path:
    image = nib.Nifti1Image(array, affine, dtype=array.dtype)
    for key, value in header.items():
        image.header[key] = value
    nib.save(image, path)
    return path


def _bytes_of(array: np.ndarray) -> bytearray:
    return bytearray(nib.Nifti1Image(array, AFFINE, dtype=array.dtype).to_bytes())


# --- good files


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".NII.GZ"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_nifti_of_every_type(tmp_path: Path, suffix: str, dtype: Any) -> None:
    path = _save(tmp_path / "scan.nii", _volume(dtype=dtype))
    if suffix != ".nii":
        path = path.with_suffix(suffix)
        path.write_bytes(gzip.compress((tmp_path / "scan.nii").read_bytes()))
    scan = read_scan(path)
    assert isinstance(scan, MetaTensor)
    assert scan.dtype == torch.float32
    assert scan.shape == (1, 5, 6, 7)
    np.testing.assert_array_equal(scan[0].numpy(), _volume())
    assert scan.affine.dtype == torch.float64
    np.testing.assert_allclose(scan.affine.numpy(), AFFINE, atol=1e-6)
    assert scan.meta["filename_or_obj"] == str(path)
    assert scan.meta["header"].source.format == "nifti"
    assert scan.meta["header"].stored_dtype == np.dtype(dtype).name


def test_nifti_slope_and_intercept_are_applied_and_kept(tmp_path: Path) -> None:
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


def test_single_time_point_is_a_volume_and_a_single_slice_stays_one(tmp_path: Path) -> None:
    assert read_scan(_save(tmp_path / "a.nii", _volume((5, 6, 7, 1)))).shape == (1, 5, 6, 7)
    assert read_scan(_save(tmp_path / "b.nii", _volume((5, 6, 1)))).shape == (1, 5, 6, 1)
    assert read_scan(_save(tmp_path / "c.nii", _volume((5, 6)))).shape == (1, 5, 6)


def test_sform_wins_and_the_difference_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
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


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.jpeg", "a.PNG"])
def test_grey_pictures_are_rows_and_columns(tmp_path: Path, name: str) -> None:
    grey = np.tile(np.arange(24, dtype=np.uint8) * 10, (16, 1))
    Image.fromarray(grey).save(tmp_path / name)
    scan = read_scan(tmp_path / name)
    assert scan.shape == (1, 16, 24)
    np.testing.assert_allclose(scan[0].numpy(), grey, atol=0 if name.lower().endswith("png") else 6)
    assert (scan.meta["header"].source.format, scan.meta["header"].stored_dtype) == ("picture", "uint8")
    np.testing.assert_array_equal(scan.affine.numpy(), np.eye(4))


def test_sixteen_bits_are_kept(tmp_path: Path) -> None:
    grey = np.linspace(0, 65535, 12 * 10).astype(np.uint16).reshape(12, 10)
    Image.fromarray(grey).save(tmp_path / "a.png")
    scan = read_scan(tmp_path / "a.png")
    np.testing.assert_array_equal(scan[0].numpy(), grey)
    assert scan.meta["header"].stored_dtype == "uint16"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "1"])
def test_grey_in_the_clothes_of_colour(tmp_path: Path, mode: str, caplog: pytest.LogCaptureFixture) -> None:
    grey = np.kron(np.eye(4), np.full((3, 3), 255)).astype(np.uint8)
    Image.fromarray(grey).convert(mode).save(tmp_path / "a.png")
    with caplog.at_level(logging.WARNING):
        scan = read_scan(tmp_path / "a.png")
    np.testing.assert_array_equal(scan[0].numpy(), grey)
    assert not caplog.records


def test_colour_becomes_luminance_with_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (8, 9, 3)).astype(np.uint8)
    Image.fromarray(colours).save(tmp_path / "a.png")
    with caplog.at_level(logging.WARNING):
        scan = read_scan(tmp_path / "a.png")
    np.testing.assert_allclose(scan[0].numpy(), colours @ np.array([0.299, 0.587, 0.114]), atol=1.0)
    assert "a.png: a colour picture; its luminance is used" in caplog.text


# --- bad files: each is one error that names the file, and no other exception escapes


def _truncated_nifti(path: Path) -> None:
    path.write_bytes(bytes(_bytes_of(_volume())[:-100]))


def _truncated_gzip(path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = gzip.compress(bytes(_bytes_of(rng.normal(size=(20, 20, 20)))))
    path.write_bytes(whole[: len(whole) // 2])


def _damaged_gzip(path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = bytearray(gzip.compress(bytes(_bytes_of(rng.normal(size=(20, 20, 20))))))
    whole[len(whole) // 2 : len(whole) // 2 + 50] = bytes(50)
    path.write_bytes(bytes(whole))


def _gzip_of_text(path: Path) -> None:
    path.write_bytes(gzip.compress(b"no scan at all " * 100))


def _plain_named_gz(path: Path) -> None:
    path.write_bytes(bytes(_bytes_of(_volume())))


def _gzip_named_plain(path: Path) -> None:
    path.write_bytes(gzip.compress(bytes(_bytes_of(_volume()))))


def _text(path: Path) -> None:
    path.write_text("git-lfs pointer, or a page that says: please log in\n" * 20)


def _with_values(*values: float) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        array = _volume()
        array.flat[: len(values)] = values
        _save(path, array)

    return make


def _with_header(fmt: str, offset: int, *values: float) -> Callable[[Path], None]:
    """Write a NIfTI whose header is changed behind nibabel's back, which would not write such a one."""

    def make(path: Path) -> None:
        content = _bytes_of(_volume())
        struct.pack_into(fmt, content, offset, *values)
        path.write_bytes(bytes(content))

    return make


def _array(array: np.ndarray) -> Callable[[Path], None]:
    return lambda path: _save(path, array) and None


def _affine(affine: np.ndarray) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        content = _bytes_of(_volume())
        struct.pack_into("<12f", content, 280, *affine[:3].ravel())
        path.write_bytes(bytes(content))

    return make


def _truncated_png(path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)).save(buffer, format="PNG")
    path.write_bytes(buffer.getvalue()[:1500])


def _bitmap(path: Path) -> None:
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path, format="BMP")


BAD = {
    "empty": ("a.nii.gz", lambda path: path.touch(), "empty"),
    "empty picture": ("a.png", lambda path: path.touch(), "empty"),
    "truncated": ("a.nii", _truncated_nifti, "truncated"),
    "header alone": ("a.nii", lambda path: path.write_bytes(bytes(_bytes_of(_volume())[:352])), "truncated"),
    "half a header": ("a.nii", lambda path: path.write_bytes(bytes(_bytes_of(_volume())[:200])), "cannot be read"),
    "truncated gzip": ("a.nii.gz", _truncated_gzip, "truncated"),
    "damaged gzip": ("a.nii.gz", _damaged_gzip, "damaged"),
    "gzip of text": ("a.nii.gz", _gzip_of_text, "cannot be read as NIfTI"),
    "plain named gz": ("a.nii.gz", _plain_named_gz, "not a gzip file"),
    "gzip named plain": ("a.nii", _gzip_named_plain, "rename it to .nii.gz"),
    "text": ("a.nii", _text, "cannot be read as NIfTI"),
    "text named gz": ("a.nii.gz", _text, "not a gzip file"),
    "text named png": ("a.png", _text, "cannot be read as PNG"),
    "NaN": ("a.nii", _with_values(np.nan, np.nan, np.nan), "3 voxels are NaN and 0 infinite, of 210"),
    "infinite": ("a.nii", _with_values(np.inf, -np.inf, np.nan), "1 voxels are NaN and 2 infinite"),
    "no voxels": ("a.nii", _with_header("<h", 42, 0), "no voxels"),
    "negative size": ("a.nii", _with_header("<h", 42, -5), "no voxels|cannot be read"),
    "no axes": ("a.nii", _with_header("<h", 40, 0), "no voxels|cannot be read"),
    "too many axes": ("a.nii", _with_header("<h", 40, 99), "cannot be read"),
    "huge": ("a.nii", _with_header("<3h", 42, 32000, 32000, 32000), "truncated: the header promises"),
    "5D": ("a.nii", _array(_volume((3, 4, 5, 1, 2))), "5 axes .size 3 x 4 x 5 x 1 x 2., and 4 can be read"),
    "1D": ("a.nii", _array(_volume((7,))), "one axis only"),
    "complex": ("a.nii", _array(_volume(dtype=np.complex64)), "complex"),
    "colour": ("a.nii", _array(np.zeros((4, 5, 6), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])), "colours"),
    "unknown type": ("a.nii", _with_header("<h", 70, 999), "cannot be read"),
    "constant": ("a.nii", _array(np.full((4, 5, 6), 7, dtype=np.int16)), "every voxel has the value 7"),
    "constant picture": ("a.png", lambda path: Image.new("L", (8, 8), 9).save(path), "every voxel has the value 9"),
    "singular": ("a.nii", _affine(np.diag([1.0, 1.0, 0.0, 1.0])), "singular .determinant 0"),
    "axes in one plane": ("a.nii", _affine(np.array([[1.0, 2, 3, 0], [4, 5, 6, 0], [7, 8, 9, 0]])), "singular .determ"),
    "affine not finite": ("a.nii", _affine(np.full((4, 4), np.nan)), "affine holds values that are not numbers"),
    "truncated picture": ("a.png", _truncated_png, "cannot be read as PNG"),
    "another format": ("a.png", _bitmap, "cannot be read as PNG"),
    "unknown kind": ("a.xyz", _text, "known are DICOM, .nii.gz, .nii, .png"),
    "a folder": ("a.nii", lambda path: path.mkdir(), "no DICOM image of MR in this folder"),
    "dead link": ("a.nii", lambda path: path.symlink_to(path.parent / "gone.nii"), "link to a file that is not there"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_file_is_one_clear_error(tmp_path: Path, case: str) -> None:
    name, make, words = BAD[case]
    make(tmp_path / name)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=words) as caught:
        read_scan(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "case", ["empty", "truncated", "half a header", "text", "5D", "truncated gzip", "text named png"]
)
def test_header_check_finds_what_the_header_shows(tmp_path: Path, case: str) -> None:
    name, make, _ = BAD[case]
    make(tmp_path / name)
    if case == "truncated gzip":  # only reading to the end shows it
        check_header(tmp_path / name)
        return
    with pytest.raises(InputError, match=re.escape(name)):
        check_header(tmp_path / name)


def test_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"gone\.nii: no such file"):
        read_scan(tmp_path / "gone.nii")


def test_every_single_byte_of_a_header_may_be_wrong(tmp_path: Path) -> None:
    """A changed byte gives a scan or one clear error, and nothing else."""
    rng = np.random.default_rng(11)
    good = _bytes_of(_volume())
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


def test_constant_mask_is_taken_where_it_may_be(tmp_path: Path) -> None:
    _save(tmp_path / "mask.nii", np.ones((4, 5, 6), dtype=np.uint8))
    assert read_scan(tmp_path / "mask.nii", allow_constant=True).min() == 1


# --- real scans


def test_real_brain_reads_in_its_own_units(shared_data: Path) -> None:
    path = shared_data / "brain_t1" / "sub-20_T1w.nii.gz"
    scan = read_scan(path)
    stored = nib.load(path)
    np.testing.assert_allclose(scan[0].numpy(), stored.get_fdata(), rtol=1e-6)
    np.testing.assert_allclose(scan.affine.numpy(), stored.affine)
    assert scan.meta["header"].slope != 1.0
    assert 1000.0 < float(scan.max()) < 3000.0
