"""Files that cannot be read are one error that names them, and no other exception escapes."""

from __future__ import annotations

import gzip
import io
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from fuzz_headers import KINDS, changed, outcome
from PIL import Image

from custom.errors import InputError
from custom.scans import check_header, read_scan

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


def test_constant_mask_is_taken_where_it_may_be(tmp_path: Path) -> None:
    _save(tmp_path / "mask.nii", np.ones((4, 5, 6), dtype=np.uint8))
    assert read_scan(tmp_path / "mask.nii", allow_constant=True).min() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_byte_of_a_header_may_be_wrong(tmp_path: Path, kind: str) -> None:
    """A changed header gives a result or one clear error, and nothing else."""
    path = KINDS[kind](tmp_path / "in")
    good = path.read_bytes()
    if kind == "dicom gz":
        path.write_bytes(gzip.compress(good))
    assert outcome(path, tmp_path / "out") == "read"
    found = set()
    for number in range(20):
        path.write_bytes(changed(kind, good, np.random.default_rng([6, number])))
        found.add(outcome(path, tmp_path / "out"))
    assert found == {"read", "refused"}
