"""A derived Enhanced MR image: one multi-frame file with functional groups."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import Tag
from pydicom.uid import generate_uid

from custom.errors import InputError
from custom.scans.dicom.flatten import sequence_items
from custom.scans.dicom.frame import DicomStack
from custom.scans.dicom.rescale import Rescale, decimal_string
from custom.scans.dicom.save import save, set_pixels
from custom.scans.dicom.series import DerivedSeries, derived_type, source_reference
from custom.scans.dicom.volume import DerivedVolume

__all__ = ["write_enhanced"]

_LARGEST_PIXEL_DATA = 2**32 - 2
# Groups that are written anew for each frame, and are therefore taken out of those that all frames share.
_RENEWED = (
    "DerivationImageSequence",
    "FrameContentSequence",
    "MRImageFrameTypeSequence",
    "PixelMeasuresSequence",
    "PixelValueTransformationSequence",
    "PlaneOrientationSequence",
    "PlanePositionSequence",
)
# Elements of modules that are required of ORIGINAL images only: MR Pulse Sequence (PS3.3 C.8.13.4) and Bulk Motion
# Synchronization (C.7.6.18.3). A derived image may have them, but dciodvfy calls that an error. The source, to which
# every frame refers, still has them.
_ORIGINAL_ONLY = (
    "ArterialSpinLabelingContrast",
    "BulkMotionCompensationTechnique",
    "BulkMotionSignalSource",
    "BulkMotionStatus",
    "CoverageOfKSpace",
    "EchoPlanarPulseSequence",
    "EchoPulseSequence",
    "GeometryOfKSpaceTraversal",
    "MRAcquisitionType",
    "MultiPlanarExcitation",
    "MultipleSpinEcho",
    "NumberOfKSpaceTrajectories",
    "OversamplingPhase",
    "PhaseContrast",
    "PulseSequenceName",
    "RectilinearPhaseEncodeReordering",
    "SaturationRecovery",
    "SegmentedKSpaceTraversal",
    "SpectrallySelectedSuppression",
    "SteadyStatePulseSequence",
    "TimeOfFlightContrast",
    "VelocityEncodingAcquisitionSequence",
)
# Axis of frames -> the element that counts along it, and the functional group that holds this element.
_AXIS_POINTERS = {
    "time": ("TemporalPositionIndex", "FrameContentSequence"),
    "echo": ("EffectiveEchoTime", "MREchoSequence"),
    "frame": ("FrameAcquisitionNumber", "FrameContentSequence"),
}


def write_enhanced(
    volume: DerivedVolume, header: Dataset, source: DicomStack, series: DerivedSeries, path: Path, shown_as: Path
) -> None:
    """Write one file: frame after frame, the slices of each in order.

    Args:
        volume: what is written.
        header: of the source's file, cleaned; is changed.
        source: the stack that the result was made from, Enhanced.
        series: the series that is made.
        path: the file to write.
        shown_as: what the file is called in messages.

    Raises:
        InputError: for more pixels than one file can hold.
    """
    if 2 * volume.array.size > _LARGEST_PIXEL_DATA:
        raise InputError(
            f"{shown_as}: {2 * volume.array.size} bytes of pixels are more than one DICOM file holds; write single "
            "files with --dicom_form classic"
        )
    image = header
    # Reading is content with a SOP class in the file meta alone.
    sop_class = str(image.get("SOPClassUID") or image.file_meta.MediaStorageSOPClassUID)
    image.SOPClassUID = sop_class
    old_common = image.get("SharedFunctionalGroupsSequence") or [Dataset()]
    old_frames = image.PerFrameFunctionalGroupsSequence
    _set_evidence(image, source, sop_class)
    series.describe(image)
    # Value 2 of a multi-frame image may not be SECONDARY (PS3.3 C.8.16.1.2).
    image.ImageType = derived_type(image.get("ImageType"), "PRIMARY")
    # The groups of the frames hold the derivation.
    for keyword in ("DerivationDescription", "DerivationCodeSequence", *_ORIGINAL_ONLY):
        if keyword in image:
            delattr(image, keyword)
    image.InstanceNumber = 1
    image.NumberOfFrames = volume.slices * volume.frames
    pointers = [("StackID", "FrameContentSequence"), ("InStackPositionNumber", "FrameContentSequence")]
    pointers += [_AXIS_POINTERS[source.frame_axis]] if volume.frames > 1 else []
    _set_dimensions(image, pointers)
    common = copy.deepcopy(old_common[0])
    common_renewed = {keyword: common.get(keyword) for keyword in _RENEWED}
    for keyword in _RENEWED:
        if keyword in common:
            delattr(common, keyword)
    _leave_out_spoiling(common)
    image.SharedFunctionalGroupsSequence = DicomSequence([common])
    groups = []
    for t in range(volume.frames):
        for k in range(volume.slices):
            group = copy.deepcopy(old_frames[volume.origins[k][t].number])
            for keyword, value in common_renewed.items():
                if value is not None and keyword not in group:
                    setattr(group, keyword, copy.deepcopy(value))
            _renew(group, volume, k, t, source.frame_axis, series, sop_class)
            groups.append(group)
    image.PerFrameFunctionalGroupsSequence = DicomSequence(groups)
    stored = np.empty((volume.frames, volume.slices, *volume.array.shape[1::-1]), volume.rescales[0][0].dtype)
    for t in range(volume.frames):
        for k in range(volume.slices):
            stored[t, k] = volume.stored(k, t)
    set_pixels(image, stored.reshape(-1, *stored.shape[2:]))
    save(image, path)


def _renew(
    group: Dataset,
    volume: DerivedVolume,
    k: int,
    t: int,
    frame_axis: str,
    series: DerivedSeries,
    sop_class: str,
) -> None:
    """Set position, rescale and origin of slice k and frame t in a copy of the groups of its source frame."""
    planes = volume.planes
    position, orientation, measures = Dataset(), Dataset(), Dataset()
    position.ImagePositionPatient = planes.position(k)
    orientation.ImageOrientationPatient = planes.orientation
    measures.SliceThickness = decimal_string(volume.thickness)
    measures.SpacingBetweenSlices = decimal_string(planes.slice_spacing)
    measures.PixelSpacing = planes.pixel_spacing
    group.PlanePositionSequence = DicomSequence([position])
    group.PlaneOrientationSequence = DicomSequence([orientation])
    group.PixelMeasuresSequence = DicomSequence([measures])
    group.PixelValueTransformationSequence = DicomSequence([_transformation(group, volume.rescales[k][t])])
    derivation = Dataset()
    series.describe_derivation(derivation)
    origin = volume.origins[k][t]
    derivation.SourceImageSequence = DicomSequence([source_reference(origin, sop_class, True)])
    group.DerivationImageSequence = DicomSequence([derivation])
    _leave_out_spoiling(group)
    for item in group.get("MRImageFrameTypeSequence", []):
        item.FrameType = derived_type(item.get("FrameType"), "PRIMARY")
    content = _item(group, "FrameContentSequence")
    content.StackID = "1"
    content.InStackPositionNumber = k + 1
    content.TemporalPositionIndex = t + 1 if frame_axis == "time" else 1
    if frame_axis == "frame":
        content.FrameAcquisitionNumber = t + 1
    content.DimensionIndexValues = [1, k + 1, *([t + 1] if volume.frames > 1 else [])]
    group.FrameContentSequence = DicomSequence([content])


def _leave_out_spoiling(group: Dataset) -> None:
    """Spoiling may be said only where EchoPulseSequence is GRADIENT or BOTH (PS3.3 C.8.13.5.5): not without it."""
    for modifier in sequence_items(group, "MRModifierSequence"):
        if "Spoiling" in modifier:
            del modifier.Spoiling


def _transformation(group: Dataset, rescale: Rescale) -> Dataset:
    item = Dataset()
    item.RescaleIntercept = decimal_string(rescale.intercept)
    item.RescaleSlope = decimal_string(rescale.slope)
    item.RescaleType = _item(group, "PixelValueTransformationSequence").get("RescaleType") or "US"
    return item


def _item(group: Dataset, keyword: str) -> Dataset:
    sequence = group.get(keyword)
    return sequence[0] if sequence else Dataset()


def _set_dimensions(image: Dataset, pointers: list[tuple[str, str]]) -> None:
    uid = generate_uid()
    organization = Dataset()
    organization.DimensionOrganizationUID = uid
    image.DimensionOrganizationSequence = DicomSequence([organization])
    items = []
    for keyword, group in pointers:
        item = Dataset()
        item.DimensionOrganizationUID = uid
        item.DimensionIndexPointer = Tag(keyword)
        item.FunctionalGroupPointer = Tag(group)
        items.append(item)
    image.DimensionIndexSequence = DicomSequence(items)
    if "DimensionOrganizationType" in image:
        del image.DimensionOrganizationType


def _set_evidence(image: Dataset, source: DicomStack, sop_class: str) -> None:
    """Name the study and series of the source that the frames refer to, where the source names its study."""
    if not image.get("StudyInstanceUID"):
        return
    reference, series, study = Dataset(), Dataset(), Dataset()
    reference.ReferencedSOPClassUID = sop_class
    reference.ReferencedSOPInstanceUID = source.frames[0][0].sop_uid
    series.ReferencedSOPSequence = DicomSequence([reference])
    series.SeriesInstanceUID = source.series_uid
    study.ReferencedSeriesSequence = DicomSequence([series])
    study.StudyInstanceUID = image.StudyInstanceUID
    image.SourceImageEvidenceSequence = DicomSequence([study])
