"""Voxels of DICOM: decoded, rescaled, on the axes of the affine."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_changes import at, claim_syntax
from dicom_checks import check_read, check_refused, stack_of
from dicom_files import OBLIQUE, Layout, content, save, write_classic, write_enhanced
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from custom.errors import InputError
from custom.scans import find_scan, read_scan
from custom.scans.dicom.pixels import read_stack

LAYOUTS = {
    "plain": Layout(),
    "signed, oblique": Layout(dtype="int16", orientation=OBLIQUE, intercept=-50.0),
    "8 bit": Layout(dtype="uint8"),
    "slopes of their own": Layout(slopes=(0.5, 2.0, 0.1), intercept=3.0),
    "no rescale": Layout(slopes=None),
    "one slice": Layout(shape=(7, 3, 1)),
    "cine": Layout(frames=3, shape=(4, 5, 3)),
    "cine of one slice": Layout(frames=4, shape=(4, 5, 1)),
    "echoes": Layout(frames=2, axis="echo", orientation=OBLIQUE),
    "acquisitions": Layout(frames=2, axis="acquisition"),
    "thin": Layout(spacing=(0.05, 0.07, 0.06)),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_classic(tmp_path: Path, name: str) -> None:
    layout = LAYOUTS[name]
    write_classic(tmp_path, layout)
    stack = stack_of(tmp_path)
    check_read(stack, layout)
    assert not stack.enhanced
    assert len(stack.files) == layout.shape[2] * layout.frames


@pytest.mark.parametrize("name", LAYOUTS)
def test_enhanced(tmp_path: Path, name: str) -> None:
    layout = LAYOUTS[name]
    path = write_enhanced(tmp_path / "e.dcm", layout)
    stack = stack_of(path)
    check_read(stack, layout)
    assert stack.enhanced
    assert stack.files == (path,)
    assert find_scan(path).name == "e"


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_other_transfer_syntaxes(tmp_path: Path, syntax: UID) -> None:
    layout = Layout(dtype="int16", intercept=-7.0)
    write_classic(tmp_path, layout, syntax=syntax)
    check_read(stack_of(tmp_path), layout)


def test_run_lengths_need_no_package(tmp_path: Path) -> None:
    def compress(data: Dataset, k: int, t: int) -> Dataset:
        data.compress(RLELossless)
        return data

    layout = Layout(shape=(40, 36, 2))
    write_classic(tmp_path, layout, change=compress)
    check_read(stack_of(tmp_path), layout)


@pytest.mark.parametrize("name", ["JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000Lossless"])
def test_compressed(tmp_path: Path, name: str) -> None:
    gdcm = pytest.importorskip("gdcm")
    layout = Layout(shape=(40, 36, 2))
    for file in write_classic(tmp_path, layout):
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(file))
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, name)))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.SetFileName(str(file))
        assert writer.Write()
    check_read(stack_of(tmp_path), layout)


def test_missing_decoder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def claim(data: Dataset, k: int, t: int) -> Dataset:
        data.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.70")
        data.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x04\0\0\0abcd\xfe\xff\xdd\xe0\0\0\0\0"
        data["PixelData"].is_undefined_length = True
        return data

    files = write_classic(tmp_path, Layout(shape=(4, 4, 1)), change=claim)

    def without(self: Dataset) -> np.ndarray:
        raise RuntimeError("Unable to decompress: all plugins are missing dependencies:")

    monkeypatch.setattr("pydicom.dataset.Dataset.pixel_array", property(without))
    with pytest.raises(InputError, match="pip install python-gdcm") as caught:
        read_scan(files[0])
    assert str(files[0]) in str(caught.value)


@pytest.mark.parametrize("kind", ["classic", "enhanced"])
def test_gzip(tmp_path: Path, kind: str) -> None:
    layout = Layout()
    files = write_classic(tmp_path / "a", layout) if kind == "classic" else [write_enhanced(tmp_path / "a/e", layout)]
    for file in files:
        file.with_name(file.name + ".gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    check_read(stack_of(tmp_path / "a"), layout)


def test_bits_that_hold_no_value_are_left_out(tmp_path: Path) -> None:
    """12 of 16 bits, signed and unsigned, with an overlay in the top bit as old scanners wrote it."""
    for dtype in ("uint16", "int16"):

        def with_overlay(data: Dataset, k: int, t: int) -> Dataset:
            data.BitsStored, data.HighBit = 12, 11
            pixels = np.frombuffer(data.PixelData, dtype="<u2") & 0x0FFF
            data.PixelData = (pixels | 0x8000).astype("<u2").tobytes()
            return data

        layout = Layout(dtype=dtype)
        write_classic(tmp_path / dtype, layout, change=with_overlay)
        check_read(stack_of(tmp_path / dtype), layout)

    def negative(data: Dataset, k: int, t: int) -> Dataset:
        data.BitsStored, data.HighBit = 12, 11
        data.PixelData = (np.frombuffer(data.PixelData, dtype="<i2") - 500 & 0x0FFF).astype("<u2").tobytes()
        return data

    layout = Layout(dtype="int16")
    write_classic(tmp_path / "negative", layout, change=negative)
    np.testing.assert_array_equal(read_stack(stack_of(tmp_path / "negative")).array, content(layout) - 500)


def test_monochrome1_keeps_its_values_which_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def invert(data: Dataset, k: int, t: int) -> Dataset:
        data.PhotometricInterpretation = "MONOCHROME1"
        return data

    write_classic(tmp_path, change=invert)
    check_read(stack_of(tmp_path), Layout())
    assert "MONOCHROME1" in caplog.text


def test_simpleitk_agrees_in_place_and_values(tmp_path: Path) -> None:
    itk = pytest.importorskip("SimpleITK")
    layout = Layout(orientation=OBLIQUE, slopes=(0.5,), intercept=2.0)
    write_classic(tmp_path, layout)
    reader = itk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    image = reader.Execute()
    scan = read_stack(stack_of(tmp_path))
    for index in [(0, 0, 0), (5, 4, 3), (2, 0, 1)]:
        place = np.array(image.TransformIndexToPhysicalPoint(index)) * (-1, -1, 1)
        np.testing.assert_allclose((scan.affine @ (*index, 1))[:3], place, atol=1e-3)
        assert scan.array[index] == pytest.approx(image[index])


def test_rle_that_ends_too_early(tmp_path: Path) -> None:
    files = write_classic(tmp_path, Layout(shape=(30, 30, 2)))
    for file in files:
        data = pydicom.dcmread(file)
        data.compress(pydicom.uid.RLELossless)
        save(data, file)
    files[1].write_bytes(files[1].read_bytes()[:-200])
    with pytest.raises(InputError, match=re.escape(files[1].name)):
        read_scan(tmp_path)


def test_damaged_run_lengths_are_refused(tmp_path: Path) -> None:
    words = r"0004\.dcm: the pixels cannot be decoded"
    check_refused(tmp_path, Layout(), at(0, claim_syntax("1.2.840.10008.1.2.5")), words, header_shows_it=False)


@pytest.mark.parametrize(
    ("dtype", "bits", "vr", "value", "limit", "first", "last"),
    [
        ("uint16", 16, "US", 0, None, 0, 0),
        ("uint16", 16, "US", 0, 9, 0, 9),
        ("uint16", 16, "US", 65535, 65530, 65530, 65535),
        ("int16", 16, "SS", -2000, None, -2000, -2000),
        ("int16", 16, "SS", -2000, -1900, -2000, -1900),
        ("int16", 16, "SS", -1900, -2000, -2000, -1900),
        ("int16", 16, "US", 63536, None, -2000, -2000),  # the other sign, as some files have it
        ("uint16", 16, "SS", -2000, None, 63536, 63536),
        ("int16", 12, "US", 0xC18, None, -1000, -1000),
        ("int16", 12, "US", 63536, None, -2000, -2000),
        ("uint8", 8, "US", 255, None, 255, 255),
        ("int16", 12, "SS", -32768, None, 1, 0),  # no 12 bits hold it
    ],
)
@pytest.mark.parametrize("enhanced", [False, True])
def test_padding_becomes_the_background(
    tmp_path: Path, enhanced: bool, dtype: str, bits: int, vr: str, value: int, limit: int | None, first: int, last: int
) -> None:
    """Pixels from `first` to `last`, as they are stored, read as 0 whatever the intercept; all others as ever."""
    layout = Layout(shape=(4, 3, 2), dtype=dtype, slopes=(2.0,), intercept=-100.0)
    edges = [first - 1, first, last, last + 1]
    lowest, highest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dtype[0] == "i" else (0, 2**bits - 1)
    row = np.array([edge for edge in edges if lowest <= edge <= highest] * 4, dtype=dtype)[:4]

    def pad(data: Dataset, *_: int) -> Dataset:
        pixels = np.frombuffer(data.PixelData, dtype=dtype)[: 12 * int(data.get("NumberOfFrames", 1))].copy()
        pixels[:4] = row
        data.PixelData = (pixels & 2**bits - 1 if bits == 12 else pixels).astype(dtype).tobytes()
        data.BitsStored, data.HighBit = bits, bits - 1
        data.add_new("PixelPaddingValue", vr, value)
        if limit is not None:
            data.add_new("PixelPaddingRangeLimit", vr, limit)
        return data

    plain = content(layout)
    if enhanced:
        array = read_stack(stack_of(write_enhanced(tmp_path / "e.dcm", layout, change=pad))).array
        changed = [1]  # the file begins with the last slice
    else:
        write_classic(tmp_path, layout, change=pad)
        array = read_stack(stack_of(tmp_path)).array
        changed = [0, 1]
    stored = (plain + 100) / 2
    for k in changed:
        stored[:, 0, k] = row
    expected = np.where((stored >= first) & (stored <= last), 0, 2 * stored - 100)
    np.testing.assert_array_equal(array, expected)


def test_padding_that_is_no_number_is_refused(tmp_path: Path) -> None:
    words = r"PixelPaddingValue is 'none'; a whole number is needed"
    check_refused(tmp_path, Layout(), at(0, lambda d: d.add_new("PixelPaddingValue", "LO", "none")), words, False)
