"""Headers that can be read although they are odd, and others that cannot."""

from __future__ import annotations

import gzip
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_changes import Change, at, claim_syntax, drop, set_values
from dicom_checks import check_read, check_refused, stack_of
from dicom_files import Layout, content, write_classic, write_enhanced
from pydicom.dataset import Dataset

from custom.errors import InputError
from custom.scans import list_scans, read_scan
from custom.scans.dicom.pixels import read_stack
from custom.scans.dicom.stack_files import is_named_dicom

SIX = Layout(shape=(6, 5, 6))
BAD: dict[str, tuple[Layout, Change, str]] = {
    "no pixels": (SIX, at(1, drop("PixelData")), "IM-003-0005.dcm: no pixel data"),
    "truncated pixels": (
        SIX,
        at(1, set_values(PixelData=b"\0" * 20)),
        "IM-003-0005.dcm: truncated: the header promises 60",
    ),
    "colour": (
        SIX,
        at(1, set_values(SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)),
        "IM-003-0005.dcm: a colour image",
    ),
    "palette": (SIX, at(1, set_values(PhotometricInterpretation="PALETTE COLOR")), "a colour image"),
    "video": (SIX, at(1, claim_syntax("1.2.840.10008.1.2.4.100")), r"transfer syntax MPEG2 .* is not supported"),
    "more frames than any compression holds": (
        SIX,
        at(
            1,
            lambda data: [
                claim_syntax("1.2.840.10008.1.2.5")(data),
                set_values(NumberOfFrames=10**9, FrameTime=1)(data),
            ],
        ),
        r"IM-003-0005\.dcm: the header promises 60000000000 bytes of pixels",
    ),
    "32 bits": (SIX, at(1, set_values(BitsAllocated=32)), "32 bits a pixel"),
    **{
        f"no {keyword}": (SIX, at(1, drop(keyword)), rf"IM-003-0005\.dcm: {keyword} is not given; a whole number")
        for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation", "SamplesPerPixel")
    },
    **{
        f"HighBit {high} of 12": (
            SIX,
            at(1, set_values(BitsStored=12, HighBit=high)),
            rf"BitsStored 12 of BitsAllocated 16 with HighBit {high}; .* HighBit is BitsStored - 1",
        )
        for high in (0, 10, 12, 15)
    },
    "more bits than there are": (
        SIX,
        at(1, set_values(BitsStored=17, HighBit=16)),
        "BitsStored 17 of BitsAllocated 16",
    ),
    "neither signed nor not": (SIX, at(1, set_values(PixelRepresentation=2)), "PixelRepresentation is neither 0"),
    "fewer rows than there are": (SIX, at(1, set_values(Rows=4)), "5 rows|4 rows, 1 frames. and the file holds 60"),
    "fewer columns than there are": (SIX, at(1, set_values(Columns=5)), "5 columns, 5 rows, 1 frames. and the file ho"),
    "mosaic": (SIX, at(1, set_values(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])), "a mosaic of all slices"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_series_are_refused(tmp_path: Path, case: str) -> None:
    check_refused(tmp_path, *BAD[case])


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


def test_a_missing_high_bit_is_that_of_the_lowest_bits(tmp_path: Path) -> None:
    write_classic(tmp_path, change=lambda data, *_: drop("HighBit")(data) or data)
    check_read(stack_of(tmp_path), Layout())


@pytest.mark.parametrize("name", ["junk.dcm", "series/junk", "a.txt", "end.ima"])
@pytest.mark.parametrize(
    "junk", [b"", b"junk " * 100, bytes(128) + b"DICM" + b"\xff" * 300], ids=["empty", "text", "odd"]
)
def test_junk_beside_a_named_file_does_not_matter(
    tmp_path: Path, name: str, junk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    files = write_classic(tmp_path, SIX)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(junk)
    check_read(stack_of(files[0]), SIX)
    if is_named_dicom(tmp_path / name):
        assert f"{files[0]}: its series is read without a file beside it: {tmp_path / name}" in caplog.text
        with pytest.raises(InputError, match=re.escape(name)):  # the folder may mean this slice too
            read_scan(tmp_path)


def test_truncated_gzip(tmp_path: Path) -> None:
    files = write_classic(tmp_path, SIX)
    files[2].write_bytes(gzip.compress(np.random.default_rng(0).bytes(50) + files[2].read_bytes())[:200])
    with pytest.raises(InputError, match=re.escape(files[2].name)):
        read_scan(tmp_path)


def test_odd_values_neither_raise_nor_warn(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    """Warnings are errors in these tests."""

    def odd(data: Dataset, k: int, t: int) -> Dataset:
        data.add_new("StudyDescription", "LO", "x" * 100)
        data.add_new("SeriesInstanceUID", "UI", "1.2.003.4")
        data.add_new("PatientAge", "AS", "about 40")
        data.add_new("InversionTime", "DS", "1234567890.12345678901")
        return data

    mode = pydicom.config.settings.reading_validation_mode
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(pydicom.config.settings, "_writing_validation_mode", pydicom.config.IGNORE)
        write_classic(tmp_path, change=odd)
    check_read(stack_of(tmp_path), Layout())
    assert pydicom.config.settings.reading_validation_mode == mode


def _part(number: str, total: str | None) -> Callable[[Dataset], None]:
    def change(image: Dataset) -> None:
        image.ConcatenationUID = "1.2.3"
        image.InConcatenationNumber = int(number)
        if total is not None:
            image.InConcatenationTotalNumber = int(total)

    return change


@pytest.mark.parametrize(("total", "words"), [("2", "2"), (None, "several")])
def test_parts_of_a_concatenation_are_refused(tmp_path: Path, total: str | None, words: str) -> None:
    for number in "12":
        write_enhanced(tmp_path / f"{number}.dcm", Layout(), change=_part(number, total))
    scans = list_scans(tmp_path)
    assert [scan.path.name for scan in scans] == ["1.dcm", "2.dcm"]
    for number, scan in enumerate(scans, start=1):
        with pytest.raises(InputError, match=rf"{number}\.dcm: part {number} of {words} of a concatenation.*one file"):
            read_scan(scan)


def test_a_concatenation_of_one_is_read(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "a.dcm", Layout(), change=_part("1", "1"))
    np.testing.assert_array_equal(read_stack(stack_of(path)).array, content(Layout()))
