"""Derived series from made-up ones: place, values, identity; what is kept, what is dropped; whole or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_checks import stack_of
from dicom_files import Layout, content, rotated, write_classic, write_enhanced, write_source
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from custom.arrays.geometry import field_of_view_corners
from custom.errors import InputError, MissingFileError
from custom.scans.dicom.pixels import read_stack
from custom.scans.dicom.provenance import Provenance, bundle_provenance
from custom.scans.dicom.writer import write_dicom

PROVENANCE = Provenance("Some model", "1.2.3", "ab" * 32)


def _enlarged(array: np.ndarray, affine: np.ndarray, factors: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Repeat voxels; each becomes a block that fills its place."""
    for axis, factor in enumerate(factors):
        array = np.repeat(array, factor, axis=axis)
    step = np.diag([*(1 / f for f in factors), 1.0])
    step[:3, 3] = [(1 / f - 1) / 2 for f in factors]
    return array, affine @ step


def _round_trip(
    folder: Path, layout: Layout, factors: Sequence[int], enhanced: bool = False, form: str = "as_input"
) -> Path:
    source = stack_of(write_source(folder, layout, enhanced))
    scan = read_stack(source)
    array, affine = _enlarged(scan.array, scan.affine, factors)
    target = folder / ("out.dcm" if enhanced and form == "as_input" else "out")
    written = write_dicom(array, affine, source, target, form=form, provenance=PROVENANCE)  # type: ignore[arg-type]
    back_stack = stack_of(written)
    back = read_stack(back_stack)
    assert back.array.shape == array.shape
    finest = min(frame.slope for row in source.frames for frame in row)
    assert np.abs(back.array - array).max() <= 0.5 * finest * (1 + 1e-5)
    np.testing.assert_allclose(
        field_of_view_corners(array.shape[:3], back.affine), field_of_view_corners(array.shape[:3], affine), atol=1e-3
    )
    assert back_stack.frame_axis == source.frame_axis
    np.testing.assert_allclose(back_stack.frame_values, source.frame_values, rtol=1e-9)
    assert back_stack.slice_thickness == pytest.approx(source.slice_thickness / factors[2])
    return written


AXIS_CODES = [
    tuple(float(sign) * (axis == n) for n, sign in zip((first, second), signs, strict=True) for axis in range(3))
    for first, second in permutations(range(3), 2)
    for signs in product((-1, 1), repeat=2)
]


@pytest.mark.parametrize("orientation", AXIS_CODES, ids=str)
def test_every_orientation_keeps_its_place(tmp_path: Path, orientation: Sequence[float]) -> None:
    _round_trip(tmp_path, Layout(shape=(3, 4, 2), orientation=orientation), (2, 1, 3))


@pytest.mark.parametrize("kind", ["classic", "enhanced", "classic from enhanced"])
@given(
    angles=st.tuples(*[st.floats(-3.1, 3.1)] * 3),
    shape=st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3)),
    spacing=st.tuples(*[st.floats(0.2, 6.0)] * 3),
    factors=st.tuples(*[st.integers(1, 4)] * 3),
    frames=st.integers(1, 3),
    axis=st.sampled_from(["time", "echo"]),
)
def test_place_values_and_frames_survive(
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    angles: tuple[float, float, float],
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    factors: tuple[int, int, int],
    frames: int,
    axis: str,
) -> None:
    layout = Layout(shape=shape, orientation=rotated(angles), spacing=spacing, frames=frames, axis=axis)
    form = "classic" if kind == "classic from enhanced" else "as_input"
    _round_trip(tmp_path_factory.mktemp("series"), layout, factors, kind != "classic", form)


@pytest.mark.parametrize("enhanced", [False, True])
@pytest.mark.parametrize(
    "layout",
    [
        Layout(slopes=(0.5, 2.0, 0.1), intercept=3.0),
        Layout(slopes=None, dtype="int16"),
        Layout(frames=2, axis="acquisition"),
        Layout(tilt=0.8, shape=(6, 5, 3)),
        Layout(shape=(7, 3, 1)),
    ],
    ids=["slopes", "signed", "acquisitions", "tilt", "one slice"],
)
def test_layouts(tmp_path: Path, layout: Layout, enhanced: bool) -> None:
    _round_trip(tmp_path, layout, (2, 2, 1), enhanced)


def test_slices_in_between_take_the_times_of_the_nearest(tmp_path: Path) -> None:
    layout = Layout(frames=2, shape=(2, 2, 3))
    written = _round_trip(tmp_path, layout, (1, 1, 3))
    frames = stack_of(written).frames
    assert [[frame.labels["trigger_time"] for frame in row] for row in frames] == [
        [layout.frame_value(t, k // 3) for t in range(2)] for k in range(9)
    ]


def test_overshoot_below_zero_is_kept(tmp_path: Path) -> None:
    source = stack_of(write_source(tmp_path, Layout()))
    array = content(Layout()) - 12.0
    back = read_stack(stack_of(write_dicom(array, source.affine, source, tmp_path / "out")))
    np.testing.assert_array_equal(back.array, array)


@pytest.mark.parametrize("enhanced", [False, True])
def test_a_range_too_wide_for_16_bits_is_as_fine_as_it_can_be_in_each_plane(tmp_path: Path, enhanced: bool) -> None:
    layout = Layout(shape=(6, 5, 2))
    source = stack_of(write_source(tmp_path, layout, enhanced))
    array = np.stack([np.linspace(0, 300, 30).reshape(6, 5), np.linspace(-1e6, 1e6, 30).reshape(6, 5)], axis=-1)
    back = read_stack(stack_of(write_dicom(array, source.affine, source, tmp_path / "out.dcm")))
    assert np.abs(back.array - array)[..., 0].max() <= 0.5
    assert np.abs(back.array - array)[..., 1].max() <= 0.5 * 2e6 / 65533


def _with_extras(image: Dataset) -> Dataset:
    image.add_new(0x00090010, "LO", "VENDOR")
    image.add_new(0x00091001, "LO", "secret")
    image.SmallestImagePixelValue, image.LargestImagePixelValue = 0, 77
    image.PixelPaddingValue = 5
    image.LossyImageCompression, image.LossyImageCompressionRatio = "01", "10"
    image.add_new(0x60000010, "US", 5)
    inner = Dataset()
    inner.add_new(0x00090010, "LO", "VENDOR")
    inner.CodeMeaning = "kept"
    image.ProcedureCodeSequence = Items([inner])
    return image


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, ImplicitVRLittleEndian])
def test_identity_is_new_and_the_patient_the_same(tmp_path: Path, syntax: str) -> None:
    files = write_classic(
        tmp_path / "in",
        Layout(frames=2, shape=(4, 3, 2)),
        description="Kopf µ " + "x" * 50,
        change=lambda image, k, t: _with_extras(image),
        syntax=syntax,
    )
    source = stack_of(tmp_path / "in")
    scan = read_stack(source)
    written = write_dicom(scan.array, scan.affine, source, tmp_path / "out", provenance=PROVENANCE)
    assert [file.name for file in sorted(written.iterdir())] == [f"IM-{n:04d}.dcm" for n in range(1, 5)]
    images = [pydicom.dcmread(file) for file in sorted(written.iterdir())]
    originals = {str(image.SOPInstanceUID): image for image in map(pydicom.dcmread, files)}
    first = next(iter(originals.values()))
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientName", "PatientID", "SpecificCharacterSet"):
        assert {str(image[keyword].value) for image in images} == {str(first[keyword].value)}, keyword
    assert {image.SeriesInstanceUID for image in images}.isdisjoint({first.SeriesInstanceUID})
    assert len({image.SeriesInstanceUID for image in images}) == 1
    assert len({image.SOPInstanceUID for image in images} | set(originals)) == 8
    for number, image in enumerate(images, 1):
        assert image.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
        assert image.file_meta.MediaStorageSOPInstanceUID == image.SOPInstanceUID
        assert list(image.ImageType) == ["DERIVED", "SECONDARY", "M", "NONE"]
        assert (image.InstanceNumber, image.SeriesNumber) == (number, 1003)
        assert image.SeriesDescription.startswith("Kopf µ xx")
        assert image.SeriesDescription.endswith(": super-resolution, not for diagnosis")
        assert len(image.SeriesDescription) <= 64
        origin = originals[image.SourceImageSequence[0].ReferencedSOPInstanceUID]
        np.testing.assert_allclose(origin.ImagePositionPatient, image.ImagePositionPatient, atol=1e-6)
        assert origin.TriggerTime == image.TriggerTime
        normal = np.cross(*np.reshape(image.ImageOrientationPatient, (2, 3)).astype(float))
        assert image.SliceLocation == pytest.approx(float(normal @ np.array(image.ImagePositionPatient, dtype=float)))
        assert {"1.2.3", "ab" * 32} <= set(re.findall(r"[\w.]+", image.DerivationDescription))
        equipment = image.ContributingEquipmentSequence[-1]
        assert equipment.ManufacturerModelName == "Some model"
        assert "ab" * 32 in equipment.ContributionDescription
        assert image.LossyImageCompression == "01"
        assert image.ProcedureCodeSequence[0].CodeMeaning == "kept"
        private = [element.tag for element in image.iterall() if element.tag.is_private]
        dropped = {"SmallestImagePixelValue", "LargestImagePixelValue", "PixelPaddingValue"} & set(image.dir())
        assert private == []
        assert dropped == set()
        assert 0x60000010 not in image


def test_an_enhanced_result_says_where_each_frame_comes_from(tmp_path: Path) -> None:
    written = _round_trip(tmp_path, Layout(frames=2, shape=(3, 4, 2)), (2, 2, 2), enhanced=True)
    image, source = pydicom.dcmread(written), pydicom.dcmread(tmp_path / "in.dcm")
    assert image.SOPClassUID == source.SOPClassUID
    assert image.NumberOfFrames == len(image.PerFrameFunctionalGroupsSequence) == 8
    pointers = [item.DimensionIndexPointer for item in image.DimensionIndexSequence]
    values = [tuple(g.FrameContentSequence[0].DimensionIndexValues) for g in image.PerFrameFunctionalGroupsSequence]
    assert len(set(values)) == 8
    assert len(pointers) == len(values[0]) == 3
    for group in image.PerFrameFunctionalGroupsSequence:
        derived = group.DerivationImageSequence[0]
        number = derived.SourceImageSequence[0].ReferencedFrameNumber
        origin = source.PerFrameFunctionalGroupsSequence[number - 1]
        cycles = [item.CardiacSynchronizationSequence[0].NominalCardiacTriggerDelayTime for item in (group, origin)]
        assert cycles[0] == cycles[1]
        assert derived.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert "PixelMeasuresSequence" not in image.SharedFunctionalGroupsSequence[0]
        distance = np.subtract(*(i.PlanePositionSequence[0].ImagePositionPatient for i in (group, origin)))
        assert np.abs(distance).max() <= 1.0 + 1e-6  # a quarter of the slice spacing of 4 mm, less in the plane


ODD_VALUES = {
    "a UID with a leading zero": lambda image: setattr(image, "StudyInstanceUID", "1.2.03.4"),
    "a number that is none": lambda image: setattr(image, "FlipAngle", "90000000"),  # see the test
    "a date that is none": lambda image: setattr(image, "PatientBirthDate", "00000000"),
    "a code that is too long": lambda image: setattr(image, "BodyPartExamined", "x" * 30),
    "an image type of one value": lambda image: setattr(image, "ImageType", "ORIGINAL"),
    "a description of two values": lambda image: setattr(image, "SeriesDescription", "a\\b"),
    "the largest series number": lambda image: setattr(image, "SeriesNumber", 2**31 - 1),
    "no series number": lambda image: delattr(image, "SeriesNumber"),
    "a time zone": lambda image: setattr(image, "TimezoneOffsetFromUTC", "-0330"),
    "a time zone that is none": lambda image: setattr(image, "TimezoneOffsetFromUTC", "??"),
}


@pytest.mark.parametrize("name", ODD_VALUES)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_odd_values_do_not_keep_a_series_from_being_written(tmp_path: Path, name: str) -> None:
    def change(image: Dataset, k: int, t: int) -> Dataset:
        mode = pydicom.config.settings.writing_validation_mode
        pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
        try:
            ODD_VALUES[name](image)
        finally:
            pydicom.config.settings.writing_validation_mode = mode
        return image

    for file in write_classic(tmp_path / "in", Layout(), change=change):
        file.write_bytes(file.read_bytes().replace(b"90000000", b"ninety  "))
    source = stack_of(tmp_path / "in")
    written = write_dicom(content(Layout()), source.affine, source, tmp_path / "out")
    image = pydicom.dcmread(next(written.iterdir()))
    assert image.ImageType[:2] == ["DERIVED", "SECONDARY"]
    assert -(2**31) <= int(image.SeriesNumber) < 2**31
    np.testing.assert_array_equal(read_stack(stack_of(written)).array, content(Layout()))


def test_monochrome1_stays_what_it_is(tmp_path: Path) -> None:
    def change(image: Dataset, k: int, t: int) -> Dataset:
        image.PhotometricInterpretation = "MONOCHROME1"
        return image

    write_classic(tmp_path / "in", Layout(), change=change)
    source = stack_of(tmp_path / "in")
    written = write_dicom(read_stack(source).array, source.affine, source, tmp_path / "out")
    assert stack_of(written).photometric == "MONOCHROME1"
    np.testing.assert_array_equal(read_stack(stack_of(written)).array, content(Layout()))


def test_provenance_of_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    with pytest.raises(MissingFileError, match=r"metadata\.json"):
        bundle_provenance(tmp_path)
    metadata = tmp_path / "configs" / "metadata.json"
    metadata.write_text(json.dumps({"name": "Größe\\X", "version": "0.1.0"}))
    (tmp_path / "model.pt").write_bytes(b"abc")
    made = bundle_provenance(tmp_path, tmp_path / "model.pt")
    # the digest of "abc" in FIPS 180-2, appendix B.1
    assert made.weights_sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert made.description.isascii()
    assert "\\" not in made.description
    metadata.write_text("[]")
    with pytest.raises(InputError, match="mend it"):
        bundle_provenance(tmp_path)


@pytest.mark.parametrize("enhanced", [False, True])
def test_images_are_numbered_in_the_order_of_thewrite_source(tmp_path: Path, enhanced: bool) -> None:
    """Made-up series are numbered slice by slice, backwards; the two that one slice becomes keep to that."""
    layout = Layout(shape=(4, 3, 3), frames=2)
    source = stack_of(write_source(tmp_path, layout, enhanced))
    scan = read_stack(source)
    array, affine = _enlarged(scan.array, scan.affine, (1, 1, 2))
    written = write_dicom(array, affine, source, tmp_path / "out", form="classic", provenance=PROVENANCE)
    images = [pydicom.dcmread(file) for file in sorted(written.iterdir())]
    assert [image.InstanceNumber for image in images] == list(range(1, 13))
    # The last slice comes first; in the classic series its last phase, in the Enhanced file its first.
    moments = (0, 1) if enhanced else (1, 0)
    expected = [(7 + 4 * k + d, layout.frame_value(t, k)) for k in (2, 1, 0) for d in (1, -1) for t in moments]
    found = [(float(image.ImagePositionPatient[2]), float(image.TriggerTime)) for image in images]
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("keyword", ["SOPClassUID", "StudyInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID"])
@pytest.mark.parametrize("enhanced", [False, True])
def test_what_a_source_does_not_say_keeps_nothing_from_being_written(
    tmp_path: Path, keyword: str, enhanced: bool
) -> None:
    def without(image: Dataset, *_: int) -> Dataset:
        delattr(image, keyword)
        return image

    if enhanced:
        write_enhanced(tmp_path / "in.dcm", change=without)
    else:
        write_classic(tmp_path / "in", change=without)
    source = stack_of(tmp_path / ("in.dcm" if enhanced else "in"))
    written = write_dicom(content(Layout()), source.affine, source, tmp_path / "out.dcm")
    np.testing.assert_array_equal(read_stack(stack_of(written)).array, content(Layout()))
