"""Identity and description of derived series."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_changes import set_values
from dicom_checks import PROVENANCE, stack_of
from dicom_files import Layout, content, write_classic
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from custom.scans.dicom.pixels import read_stack
from custom.scans.dicom.writer import write_dicom


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


LAYOUT = Layout(shape=(3, 4, 2))
ODD = {
    "StudyInstanceUID": "1.2.03.4",  # a leading zero
    "FlipAngle": "90000000",  # becomes a word, see below
    "PatientBirthDate": "00000000",
    "BodyPartExamined": "x" * 30,
    "ImageType": "ORIGINAL",  # one value of two at least
    "SeriesDescription": "a\\b",
}


@pytest.mark.parametrize(
    "more",
    [{"SeriesNumber": 2**31 - 1, "TimezoneOffsetFromUTC": "-0330"}, {"TimezoneOffsetFromUTC": "??"}],
    ids=["largest number, time zone", "no number, no time zone"],
)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_odd_values_do_not_keep_a_series_from_being_written(tmp_path: Path, more: dict[str, object]) -> None:
    def change(image: Dataset, k: int, t: int) -> Dataset:
        del image.SeriesNumber
        set_values(**ODD, **more)(image)
        return image

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pydicom.config.settings, "_writing_validation_mode", pydicom.config.IGNORE)
        files = write_classic(tmp_path / "in", LAYOUT, change=change)
    for file in files:
        file.write_bytes(file.read_bytes().replace(b"90000000", b"ninety  "))
    source = stack_of(tmp_path / "in")
    written = write_dicom(content(LAYOUT), source.affine, source, tmp_path / "out")
    image = pydicom.dcmread(next(written.iterdir()))
    assert image.ImageType[:2] == ["DERIVED", "SECONDARY"]
    assert -(2**31) <= int(image.SeriesNumber) < 2**31
    np.testing.assert_array_equal(read_stack(stack_of(written)).array, content(LAYOUT))


def test_monochrome1_stays_what_it_is(tmp_path: Path) -> None:
    def change(image: Dataset, k: int, t: int) -> Dataset:
        image.PhotometricInterpretation = "MONOCHROME1"
        return image

    write_classic(tmp_path / "in", LAYOUT, change=change)
    source = stack_of(tmp_path / "in")
    written = write_dicom(read_stack(source).array, source.affine, source, tmp_path / "out")
    assert stack_of(written).photometric == "MONOCHROME1"
    np.testing.assert_array_equal(read_stack(stack_of(written)).array, content(LAYOUT))
