"""DICOM read: values, places and frames against content and positions that are known in closed form."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from dicom_checks import check_read, find_stacks, stack_of
from dicom_files import OBLIQUE, Layout, content, rotated, write_classic, write_enhanced
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from custom.errors import InputError
from custom.scans import find_scan, list_scans, read_scan
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


@given(
    angles=st.tuples(*[st.floats(-3.2, 3.2)] * 3),
    spacing=st.tuples(st.floats(0.3, 3.0), st.floats(0.3, 3.0), st.floats(0.5, 10.0)),
    origin=st.tuples(*[st.floats(-300, 300)] * 3),
)
def test_any_orientation(
    tmp_path_factory: pytest.TempPathFactory,
    angles: tuple[float, float, float],
    spacing: tuple[float, float, float],
    origin: tuple[float, float, float],
) -> None:
    layout = Layout(shape=(3, 4, 3), orientation=rotated(angles), spacing=spacing, origin=origin)
    folder = tmp_path_factory.mktemp("any")
    write_classic(folder, layout)
    check_read(stack_of(folder), layout)
    assert np.linalg.det(stack_of(folder).affine[:3, :3]) > 0


def test_neither_name_nor_number_nor_slice_location_orders_slices(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    order = rng.permutation(5)

    def scramble(data: Dataset, k: int, t: int) -> Dataset:
        data.InstanceNumber = int(order[k]) + 1
        data.SliceLocation = str(float(order[-k]))
        return data

    layout = Layout(shape=(4, 3, 5))
    files = write_classic(tmp_path, layout, change=scramble)
    for k, file in enumerate(files):
        file.rename(tmp_path / f"{order[k]}")
    check_read(stack_of(tmp_path), layout)


def test_values_of_frames(tmp_path: Path) -> None:
    """Trigger times differ by slice (0, 0.5, 1 ms later): the mean over slices is given, frames match by rank."""
    layout = Layout(frames=3, shape=(4, 5, 3))
    write_classic(tmp_path / "c", layout)
    write_enhanced(tmp_path / "e.dcm", layout)
    for path in (tmp_path / "c", tmp_path / "e.dcm"):
        scan = read_scan(path)
        assert scan.shape == (3, 4, 5, 3)
        np.testing.assert_array_equal(np.moveaxis(scan.numpy(), 0, -1), content(layout))
        assert (scan.meta["header"].frames, scan.meta["header"].frame_axis) == (3, "time")
        np.testing.assert_allclose(scan.meta["header"].frame_values, [25.5, 65.5, 105.5])
        assert stack_of(path).frames[2][1].value == 66.0


@pytest.mark.parametrize(
    ("axis", "name", "values"),
    [("echo", "echo", [4.6, 13.8]), ("acquisition", "time", [0, 2500]), ("repeat", "frame", [0, 1])],
)
def test_other_axes(tmp_path: Path, axis: str, name: str, values: list[float]) -> None:
    write_classic(tmp_path, Layout(frames=2, axis=axis))
    stack = stack_of(tmp_path)
    assert stack.frame_axis == name
    np.testing.assert_allclose(stack.frame_values, values)


def test_repeats_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    def renumber(data: Dataset, k: int, t: int) -> Dataset:
        data.InstanceNumber = 1 + k + 4 * t
        return data

    layout = Layout(frames=2, axis="repeat")
    write_classic(tmp_path, layout, change=renumber)
    check_read(stack_of(tmp_path), layout)


def test_echoes_with_phases_are_one_scan_for_each_echo(tmp_path: Path) -> None:
    def echo(data: Dataset, k: int, t: int) -> Dataset:
        data.EchoTime = "5" if t < 2 else "12"
        return data

    write_classic(tmp_path, Layout(frames=4), change=echo)
    stacks = find_stacks(tmp_path)
    assert [(len(s.frames[0]), s.frame_axis) for s in stacks] == [(2, "time")] * 2
    values = [read_stack(s).array[0, 0, 0].tolist() for s in stacks]
    assert sorted(values) == [[0.0, 1000.0], [2000.0, 3000.0]]
    assert len({scan.name for scan in list_scans(tmp_path)}) == 2


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


def test_monochrome1_keeps_its_values_with_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def invert(data: Dataset, k: int, t: int) -> Dataset:
        data.PhotometricInterpretation = "MONOCHROME1"
        return data

    write_classic(tmp_path, change=invert)
    check_read(stack_of(tmp_path), Layout())
    assert "MONOCHROME1" in caplog.text


def test_gantry_tilt_shears_the_affine(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    layout = Layout(tilt=0.8, orientation=OBLIQUE)
    write_classic(tmp_path, layout)
    check_read(stack_of(tmp_path), layout)
    assert f"lean {np.degrees(np.arctan(0.2)):.3g} degrees" in caplog.text


def test_every_other_slice_is_read_with_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Even gaps cannot be told from a sparse scan where the numbers have none, so it is only said."""

    def every_other(data: Dataset, k: int, t: int) -> Dataset | None:
        data.InstanceNumber = 1 + k // 2
        return None if k % 2 else data

    write_classic(tmp_path, change=every_other)
    scan = read_stack(stack_of(tmp_path))
    np.testing.assert_allclose(np.linalg.norm(scan.affine[:3, 2]), 8.0)
    assert caplog.text.count("slices may be missing") == 1


def test_odd_values_neither_raise_nor_warn(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    """Warnings are errors in these tests."""

    def odd(data: Dataset, k: int, t: int) -> Dataset:
        data.add_new("StudyDescription", "LO", "x" * 100)
        data.add_new("SeriesInstanceUID", "UI", "1.2.003.4")
        data.add_new("PatientAge", "AS", "about 40")
        data.add_new("InversionTime", "DS", "1234567890.12345678901")
        return data

    import pydicom

    mode = pydicom.config.settings.reading_validation_mode
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pydicom.config.settings, "_writing_validation_mode", pydicom.config.IGNORE)
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write_classic(tmp_path, change=odd)
    check_read(stack_of(tmp_path), Layout())
    assert pydicom.config.settings.reading_validation_mode == mode


def test_magnitude_of_an_enhanced_file_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    types = [("ORIGINAL", "PRIMARY", "M", "NONE"), ("ORIGINAL", "PRIMARY", "P", "NONE")]
    path = write_enhanced(tmp_path / "both.dcm", frame_types=types)
    check_read(stack_of(path), Layout())
    assert "2 kinds of image" in caplog.text
    assert "the magnitude is read" in caplog.text


def test_frames_over_time_without_functional_groups(tmp_path: Path) -> None:
    """One place, FrameTime apart: a cine of one slice. Without FrameTime nobody knows what the frames are."""
    layout = Layout(shape=(4, 5, 1))
    planes = np.arange(60, dtype="<u2").reshape(3, 5, 4)

    def frames(data: Dataset, k: int, t: int) -> Dataset:
        data.NumberOfFrames, data.FrameTime, data.PixelData = 3, "69.47", planes.tobytes()
        data.FrameIncrementPointer = 0x00181063
        return data

    stack = stack_of(write_classic(tmp_path / "a", layout, change=frames)[0])
    assert stack.frame_axis == "time"
    np.testing.assert_allclose(stack.frame_values, [0, 69.47, 138.94])
    np.testing.assert_array_equal(read_stack(stack).array[:, :, 0].transpose(2, 1, 0), planes)

    def unknown(data: Dataset, k: int, t: int) -> Dataset:
        data.NumberOfFrames, data.PixelData = 3, planes.tobytes()
        return data

    with pytest.raises(InputError, match="tell slices from times"):
        stack_of(write_classic(tmp_path / "b", layout, change=unknown)[0])


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


@pytest.mark.parametrize(
    ("gone", "words"), [({2}, "40 ms apart, but 1 seem"), ({1, 4}, "40 ms apart, but 2 seem"), (set(), "")]
)
def test_a_phase_that_no_slice_has_is_missed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, gone: set[int], words: str
) -> None:
    layout = Layout(frames=7)
    write_classic(tmp_path, layout, change=lambda data, k, t: None if t in gone else data)
    assert read_scan(tmp_path).meta["header"].frames == 7 - len(gone)
    said = [message for message in caplog.messages if "missing" in message]
    assert len(said) == bool(gone)
    assert all(words in message for message in said)
