"""DICOM that cannot be read: one clear error each, which names the file."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from dicom_files import Layout, save, write_classic, write_enhanced
from fuzz_headers import KINDS, changed, outcome
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from custom.errors import InputError
from custom.scans import check_header, list_scans, read_scan

Change = Callable[[Dataset, int, int], "Dataset | None"]
SIX = Layout(shape=(6, 5, 6))


def _at(k: int, change: Callable[[Dataset], object]) -> Change:
    def changed(data: Dataset, slice_: int, t: int) -> Dataset:
        if slice_ == k:
            change(data)
        return data

    return changed


def _set(**values: object) -> Callable[[Dataset], object]:
    return lambda data: [setattr(data, keyword, value) for keyword, value in values.items()]


def _drop(keyword: str) -> Callable[[Dataset], object]:
    return lambda data: delattr(data, keyword)


def _compressed(syntax: str) -> Callable[[Dataset], object]:
    def claim(data: Dataset) -> None:
        data.file_meta.TransferSyntaxUID = UID(syntax)
        data.PixelData = encapsulate([b"no such pixels"])
        data["PixelData"].is_undefined_length = True

    return claim


def _without(*left_out: tuple[int, int]) -> Change:
    return lambda data, k, t: None if (k, t) in left_out else data


CASES: dict[str, tuple[Layout, Change, str]] = {
    "one slice missing": (
        SIX,
        _without((2, 0)),
        r"1 of 6 slices are missing: 1 between IM-003-0005\.dcm \(at 11 mm .*IM-003-0003\.dcm \(at 19 mm",
    ),
    "two gaps": (SIX, _without((1, 0), (4, 0)), "2 of 6 slices are missing: 1 between .*; 1 between "),
    "two in a row": (SIX, _without((2, 0), (3, 0)), "2 of 6 slices are missing: 2 between "),
    "uneven": (SIX, _at(3, _set(ImagePositionPatient=[-20.5, 31.25, 20.7])), r"not evenly spaced: 2\.3 to 5\.7 mm"),
    "moved aside": (SIX, _at(3, _set(ImagePositionPatient=[-15, 31.25, 19])), "do not lie behind each other"),
    "orientations": (
        SIX,
        _at(2, _set(ImageOrientationPatient=[1, 0, 0, 0, 0, -1])),
        r"2 different orientations: 5 files .*; 1 files \(IM-003-0004\.dcm\)",
    ),
    "skewed axes": (SIX, _at(1, _set(ImageOrientationPatient=[1, 0, 0, 1, 0, 0])), "not a pair of perpendicular"),
    "sizes": (SIX, _at(1, _set(Rows=6, Columns=5)), r"different sizes: .*1 files \(IM-003-0005\.dcm\)"),
    "spacing differs": (SIX, _at(1, _set(PixelSpacing=[1.5, 0.76])), "IM-003-0005.dcm: PixelSpacing"),
    "no pixels": (SIX, _at(1, _drop("PixelData")), "IM-003-0005.dcm: no pixel data"),
    "truncated pixels": (SIX, _at(1, _set(PixelData=b"\0" * 20)), "IM-003-0005.dcm: truncated: the header promises 60"),
    "colour": (
        SIX,
        _at(1, _set(SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)),
        "IM-003-0005.dcm: a colour image",
    ),
    "palette": (SIX, _at(1, _set(PhotometricInterpretation="PALETTE COLOR")), "a colour image"),
    "no spacing": (SIX, _at(1, _drop("PixelSpacing")), "IM-003-0005.dcm: PixelSpacing is not given"),
    "no position": (SIX, _at(1, _drop("ImagePositionPatient")), "ImagePositionPatient is not given"),
    "no orientation": (SIX, _at(1, _drop("ImageOrientationPatient")), "ImageOrientationPatient is not given"),
    "two numbers": (SIX, _at(1, _set(ImagePositionPatient=[1, 2])), "3 finite numbers are needed"),
    "spacing of 0": (SIX, _at(1, _set(PixelSpacing=[0, 1])), "PixelSpacing is"),
    "slope of 0": (SIX, _at(1, _set(RescaleSlope=0)), "RescaleSlope is 0"),
    "video": (SIX, _at(1, _compressed("1.2.840.10008.1.2.4.100")), r"transfer syntax MPEG2 .* is not supported"),
    "damaged run lengths": (
        SIX,
        _at(1, _compressed("1.2.840.10008.1.2.5")),
        r"0005\.dcm: the pixels cannot be decoded",
    ),
    "more frames than any compression holds": (
        SIX,
        _at(1, lambda data: [_compressed("1.2.840.10008.1.2.5")(data), _set(NumberOfFrames=10**9, FrameTime=1)(data)]),
        r"IM-003-0005\.dcm: the header promises 60000000000 bytes of pixels",
    ),
    "32 bits": (SIX, _at(1, _set(BitsAllocated=32)), "32 bits a pixel"),
    "mosaic": (SIX, _at(1, _set(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])), "a mosaic of all slices"),
    "phase missing": (
        Layout(shape=(6, 5, 4), frames=3),
        _without((2, 1)),
        r"up to 3, but slice 3 \(IM-003-0006\.dcm\) has 2, none near trigger time 65",
    ),
    "slice twice": (
        Layout(shape=(6, 5, 4), frames=2, axis="repeat"),
        _without((0, 1), (1, 1), (3, 1)),
        r"different numbers of frames: up to 2, but slice 1 \(IM-003-0008\.dcm\) has 1",
    ),
    "nothing tells apart": (
        Layout(frames=2, axis="repeat"),
        lambda data, k, t: (
            [setattr(data, "InstanceNumber", 1), setattr(data, "SOPInstanceUID", f"1.2.{k}.{t}")] and data
        ),
        "2 images lie at one place .* nothing tells them apart",
    ),
    "beside each other": (
        Layout(frames=2),
        lambda data, k, t: [setattr(data, "ImagePositionPatient", [t * 5, 0, k * 4])] and data,
        "lie in one plane but up to 5 mm apart",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_series_is_one_clear_error(tmp_path: Path, case: str) -> None:
    layout, change, words = CASES[case]
    write_classic(tmp_path, layout, change=change)
    for look in (read_scan,) if case == "damaged run lengths" else (check_header, read_scan):
        with pytest.raises(InputError, match=words) as caught:
            look(tmp_path)
        assert str(tmp_path) in str(caught.value)
    scans = list_scans(tmp_path)
    with pytest.raises(InputError, match=words):
        [read_scan(scan) for scan in scans]


@pytest.mark.parametrize("length", [0, 100, 140, 300, 900, -10])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_truncated_file_among_good_ones_is_named(tmp_path: Path, length: int, packed: bool) -> None:
    files = write_classic(tmp_path, SIX)
    whole = files[2].read_bytes()
    cut = whole[: length or 0] if length >= 0 else whole[:length]
    files[2].write_bytes(gzip.compress(cut) if packed and length else cut)
    with pytest.raises(InputError, match=re.escape(files[2].name)):
        read_scan(tmp_path)
    with pytest.raises(InputError, match=re.escape(files[2].name)):
        read_scan(files[0])


def test_truncated_gzip(tmp_path: Path) -> None:
    files = write_classic(tmp_path, SIX)
    files[2].write_bytes(gzip.compress(np.random.default_rng(0).bytes(50) + files[2].read_bytes())[:200])
    with pytest.raises(InputError, match=re.escape(files[2].name)):
        read_scan(tmp_path)


def test_nifti_named_dcm(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.arange(24.0).reshape(2, 3, 4), np.eye(4)), tmp_path / "a.nii")
    (tmp_path / "a.nii").rename(tmp_path / "a.dcm")
    (scan,) = list_scans(tmp_path / "a.dcm")
    for look, given in ((check_header, tmp_path / "a.dcm"), (read_scan, scan), (read_scan, tmp_path)):
        with pytest.raises(InputError, match=r"a\.dcm: not DICOM, whatever its name says"):
            look(given)


def test_folder_without_image(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="no DICOM image of MR in this folder"):
        read_scan(tmp_path)


def test_enhanced_without_groups_for_each_frame(tmp_path: Path) -> None:
    def fewer(data: Dataset) -> None:
        data.PerFrameFunctionalGroupsSequence.pop()

    path = write_enhanced(tmp_path / "e.dcm", change=fewer)
    with pytest.raises(InputError, match="4 frames and 3 functional groups"):
        read_scan(path)


def test_enhanced_with_a_missing_slice(tmp_path: Path) -> None:
    def fewer(data: Dataset) -> None:
        del data.PerFrameFunctionalGroupsSequence[2]
        data.NumberOfFrames, data.PixelData = 5, data.PixelData[:300]

    path = write_enhanced(tmp_path / "e.dcm", SIX, change=fewer)
    with pytest.raises(InputError, match=r"1 of 6 slices are missing: 1 between e\.dcm frame 3 .* and e\.dcm frame 2 "):
        read_scan(path)


@pytest.mark.parametrize("kind", KINDS)
def test_every_byte_of_a_header_may_be_wrong(tmp_path: Path, kind: str) -> None:
    """A changed header gives a result or one clear error, and nothing else."""
    path = KINDS[kind](tmp_path / "in")
    good = path.read_bytes()
    if kind == "dicom gz":
        path.write_bytes(gzip.compress(good))
    assert outcome(path, tmp_path / "out") == "read"
    found = set()
    for number in range(40):
        path.write_bytes(changed(kind, good, np.random.default_rng([5, number])))
        found.add(outcome(path, tmp_path / "out"))
    assert found == {"read", "refused"}


def test_rle_that_ends_too_early(tmp_path: Path) -> None:
    files = write_classic(tmp_path, Layout(shape=(30, 30, 2)))
    for file in files:
        data = pydicom.dcmread(file)
        data.compress(pydicom.uid.RLELossless)
        save(data, file)
    files[1].write_bytes(files[1].read_bytes()[:-200])
    with pytest.raises(InputError, match=re.escape(files[1].name)):
        read_scan(tmp_path)


def test_a_damaged_length_is_not_printed_with_all_that_it_swallowed(tmp_path: Path) -> None:
    files = write_classic(tmp_path, SIX)
    for keyword in (b"\x02\x00\x10\x00UI", b"\x08\x00\x16\x00UI", b"\x28\x00\x04\x00CS"):
        content = bytearray(files[2].read_bytes())
        at = content.index(keyword) + len(keyword)
        content[at : at + 2] = b"\x00\x03"
        files[2].with_name("x.dcm").write_bytes(bytes(content))
        with pytest.raises(InputError, match=r"x\.dcm") as caught:
            read_scan(files[2].with_name("x.dcm"))
        assert len(str(caught.value)) < 500
        assert str(caught.value).isprintable()
