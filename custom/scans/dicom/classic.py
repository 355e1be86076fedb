"""A derived series of classic MR images: one file for each slice and frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from custom.scans.dicom.frame import Frame
from custom.scans.dicom.rescale import Rescale, decimal_string
from custom.scans.dicom.save import save, set_pixels
from custom.scans.dicom.series import DerivedSeries, derived_type, source_reference
from custom.scans.dicom.volume import DerivedVolume

__all__ = ["MR_IMAGE_STORAGE", "set_rescale", "write_classic"]

MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"

# Elements of multi-frame images that scanners put into classic files, where they mean nothing.
_MULTIFRAME_ONLY = (
    "DimensionIndexSequence",
    "DimensionOrganizationSequence",
    "InStackPositionNumber",
    "PerFrameFunctionalGroupsSequence",
    "SharedFunctionalGroupsSequence",
    "StackID",
)


def write_classic(
    volume: DerivedVolume,
    header: Callable[[Frame], Dataset],
    series: DerivedSeries,
    folder: Path,
    is_timed: bool = False,
) -> None:
    """Write `IM-0001.dcm` and so on into a folder, numbered in the order of the source's InstanceNumbers.

    Args:
        volume: what is written.
        header: gives a classic header for a frame of the source, a copy that may be changed.
        series: the series that is made.
        folder: is there and empty.
        is_timed: whether the frames are ordered in time. Frames of a multi-frame source, which holds their times in
            other elements, then get them as TriggerTime.
    """
    origins = [frame for row in volume.origins for frame in row]
    multiframe = any(frame.number > 0 for frame in origins)
    digits = max(4, len(str(volume.slices * volume.frames)))
    numbers = _numbers(volume)
    for k in range(volume.slices):
        for t in range(volume.frames):
            number = numbers[k, t]
            origin = volume.origins[k][t]
            image = header(origin)
            sop_class = str(image.get("SOPClassUID", MR_IMAGE_STORAGE))
            series.describe(image)
            image.SOPClassUID = MR_IMAGE_STORAGE
            image.Modality = "MR"
            image.ImageType = derived_type(image.get("ImageType"))
            image.SourceImageSequence = DicomSequence([source_reference(origin, sop_class, multiframe)])
            image.InstanceNumber = number
            for keyword in _MULTIFRAME_ONLY:
                if keyword in image:
                    delattr(image, keyword)
            if multiframe and volume.frames > 1 and "TemporalPositionIdentifier" not in image:
                image.TemporalPositionIdentifier = t + 1
                image.NumberOfTemporalPositions = volume.frames
            if multiframe and is_timed and origin.value is not None and "TriggerTime" not in image:
                image.TriggerTime = decimal_string(origin.value)
            _set_plane(image, volume, k)
            set_rescale(image, volume.rescales[k][t])
            set_pixels(image, volume.stored(k, t))
            save(image, folder / f"IM-{number:0{digits}d}.dcm")


def _numbers(volume: DerivedVolume) -> dict[tuple[int, int], int]:
    """Number slices and frames from 1 in the order of the source's InstanceNumbers, in which viewers show them.

    Where the source has no numbers, or one number for several images, the frames of each slice follow each other.
    """
    places = [(k, t) for k in range(volume.slices) for t in range(volume.frames)]
    own = {place: volume.origins[place[0]][place[1]].labels.get("instance_number") for place in places}
    origins = {(frame.path, frame.number) for row in volume.origins for frame in row}
    values = {place: value for place, value in own.items() if value is not None}
    if len(values) == len(places) and len(set(values.values())) == len(origins):
        # Several slices of the result may come from one slice: they follow each other in the direction of the source.
        direction = -1 if values[places[0]] > values[volume.slices - 1, 0] else 1
        rows = [[values[k, t] for t in range(volume.frames)] for k in range(volume.slices)]
        if all(max(row) - min(row) == volume.frames - 1 for row in rows):  # slice by slice, all frames of each
            places.sort(key=lambda place: (min(rows[place[0]]), direction * place[0], values[place]))
        else:
            places.sort(key=lambda place: (values[place], direction * place[0]))
    return {place: number for number, place in enumerate(places, start=1)}


def set_rescale(item: Dataset, rescale: Rescale) -> None:
    """Set slope and intercept; left out where they change nothing and the source does not give them either."""
    if (rescale.slope, rescale.intercept) == (1.0, 0.0) and "RescaleSlope" not in item:
        if "RescaleType" in item:
            del item.RescaleType
        return
    item.RescaleIntercept = decimal_string(rescale.intercept)
    item.RescaleSlope = decimal_string(rescale.slope)
    item.RescaleType = item.get("RescaleType") or "US"


def _set_plane(image: Dataset, volume: DerivedVolume, k: int) -> None:
    planes = volume.planes
    image.ImagePositionPatient = planes.position(k)
    image.ImageOrientationPatient = planes.orientation
    image.PixelSpacing = planes.pixel_spacing
    image.SliceThickness = decimal_string(volume.thickness)
    image.SpacingBetweenSlices = decimal_string(planes.slice_spacing)
    image.SliceLocation = planes.location(k)
