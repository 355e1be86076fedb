"""Elements of a DICOM header as plain numbers and texts, and the frames that they describe."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.valuerep import DA, DT, TM

from custom.errors import InputError
from custom.scans.dicom.frame import Frame

__all__ = ["Fields", "classic_frames", "enhanced_frames", "shown"]

# Direction cosines are written with six digits or more; with larger errors they are not perpendicular unit vectors.
_LARGEST_COSINE_ERROR = 1e-2
# Scanners of these makers write TemporalResolution in microseconds: 37500 where triggers are 37.5 ms apart.
_MICROSECOND_MAKERS = ("GE",)
_FRAME_TIME_POINTERS = (0x00181063, 0x00181065)
# A damaged length may make the rest of a file one value.
_LONGEST_SHOWN = 120


def shown(value: object) -> str:
    """Return a value of a header for a message: one line without control characters, cut where it is long."""
    words = "".join(letter if letter.isprintable() else "?" for letter in str(value))
    return words if len(words) <= _LONGEST_SHOWN else f"{words[:_LONGEST_SHOWN]}..."


class Fields:
    """Looks up elements in one or several data sets; the first data set with a value for an element counts.

    Args:
        data: one header, or a list of data sets, such as the functional groups of a frame and those of all frames.
        path: the file, for messages.
    """

    def __init__(self, data: Any, path: Path) -> None:
        self.data = data if isinstance(data, list) else [data]
        self.path = path

    def has(self, keyword: str) -> bool:
        """Say whether an element is there with a value."""
        return self._value(keyword) is not None

    def text(self, keyword: str) -> str:
        """Return an element as a text, "" where it is not given."""
        value = self._value(keyword)
        return "" if value is None else str(value).strip()

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Return the values of an element as texts."""
        return tuple(str(value).strip() for value in self._list(keyword))

    def numbers(self, keyword: str, count: int) -> tuple[float, ...]:
        """Return `count` finite numbers.

        Raises:
            InputError: where they are not there, not as many, or not finite.
        """
        values = self._list(keyword)
        if not values:
            raise InputError(
                f"{self.path}: {keyword} is not given, so the place or size of the voxels is unknown; export the "
                "original images"
            )
        found = tuple(map(_finite, values))
        if len(found) != count or None in found:
            needed = f"{count} finite numbers are" if count > 1 else "one finite number is"
            raise InputError(
                f"{self.path}: {keyword} is {shown([str(v) for v in values])}; {needed} needed; export it again"
            )
        return tuple(value for value in found if value is not None)

    def number_or(self, keyword: str, default: float) -> float:
        """Return the one number of an element, or the default where it is not given.

        Raises:
            InputError: for a value that is not one finite number, which must not be taken for none.
        """
        return self.numbers(keyword, 1)[0] if self.has(keyword) else default

    def number(self, keyword: str) -> float | None:
        """Return the first number of an element, None where there is none that is finite."""
        values = self._list(keyword)
        return _finite(values[0]) if values else None

    def whole(self, keyword: str, default: int | None = None) -> int:
        """Return a whole number.

        Raises:
            InputError: where it is not there and has no default, or is not a whole number.
        """
        value = self._value(keyword)
        if value is None and default is not None:
            return default
        number = _finite(value)
        if number is None or not number.is_integer():
            words = "not given" if value is None else f"'{shown(value)}'"
            raise InputError(f"{self.path}: {keyword} is {words}; a whole number is needed; export it again")
        return int(number)

    def item(self, keyword: str) -> Any:
        """Return the first item of a sequence, None where there is none."""
        for data in self.data:
            sequence = data.get(keyword)
            if sequence:
                return sequence[0]
        return None

    def _value(self, keyword: str) -> Any:
        for data in self.data:
            value = data.get(keyword)
            if value is not None and value != "":
                return value
        return None

    def _list(self, keyword: str) -> list[Any]:
        value = self._value(keyword)
        if value is None:
            return []
        return [value] if isinstance(value, (str, bytes, int, float)) or not hasattr(value, "__iter__") else list(value)


def _finite(value: Any) -> float | None:
    """Return a finite number, None for anything else; DICOM has no underscores in numbers, as Python has."""
    try:
        number = math.nan if "_" in str(value) else float(value)
    except (OverflowError, TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def classic_frames(header: Any, path: Path, number_of_frames: int) -> tuple[Frame, ...]:
    """Describe a classic file: one plane, or the frames of one plane over time if there is a FrameTime.

    Raises:
        InputError: where the position of the plane, or the meaning of several frames, is not given.
    """
    fields = Fields(header, path)
    times = [0.0] if number_of_frames == 1 else _frame_times(fields, path, number_of_frames)
    common = _plane(fields)
    common["sop_uid"] = fields.text("SOPInstanceUID")
    common["image_type"] = fields.texts("ImageType")
    labels = _classic_labels(fields)
    frames = []
    for number, time in enumerate(times):
        own = labels if number_of_frames == 1 else {**labels, "frame_time": time, "instance_number": float(number)}
        frames.append(Frame(path=path, number=number, labels=own, **common))
    return tuple(frames)


def enhanced_frames(header: Any, path: Path, number_of_frames: int) -> tuple[Frame, ...]:
    """Describe the frames of an Enhanced file from its functional groups.

    Raises:
        InputError: where a frame has no groups, or its position is not given.
    """
    whole = Fields(header, path)
    common_groups = whole.item("SharedFunctionalGroupsSequence")
    groups = header.get("PerFrameFunctionalGroupsSequence") or []
    if len(groups) != number_of_frames:
        raise InputError(
            f"{path}: {number_of_frames} frames and {len(groups)} functional groups of single frames; export it again"
        )
    sop_uid = whole.text("SOPInstanceUID")
    image_type = whole.texts("ImageType")
    frames = []
    for number, group in enumerate(groups):
        fields = Fields(list(_items([group, common_groups])), path)
        common = _plane(fields)
        labels = _enhanced_labels(fields)
        labels["instance_number"] = float(number)
        resolution = _temporal_resolution(Fields([*_unassigned([group, common_groups]), header], path))
        if resolution is not None:
            labels["temporal_resolution"] = resolution
        frames.append(
            Frame(
                path=path,
                number=number,
                sop_uid=sop_uid,
                image_type=fields.texts("FrameType") or image_type,
                labels=labels,
                **common,
            )
        )
    return tuple(frames)


def _items(groups: list[Any]) -> Iterator[Any]:
    """Yield the items of functional groups, in the order of the groups."""
    macros = (
        "PlanePositionSequence",
        "PlaneOrientationSequence",
        "PixelMeasuresSequence",
        "PixelValueTransformationSequence",
        "FrameContentSequence",
        "MREchoSequence",
        "MRImageFrameTypeSequence",
        "CardiacSynchronizationSequence",
        "TemporalPositionSequence",
    )
    for group in groups:
        for macro in macros:
            sequence = group.get(macro) if group is not None else None
            if sequence:
                yield sequence[0]


def _unassigned(groups: list[Any]) -> Iterator[Any]:
    """Yield what a conversion from single files found no macro for (Legacy Converted Enhanced MR, PS3.3 A.71)."""
    for group in groups:
        for scope in ("PerFrame", "Shared"):
            sequence = group.get(f"Unassigned{scope}ConvertedAttributesSequence") if group is not None else None
            if sequence:
                yield sequence[0]


def _plane(fields: Fields) -> dict[str, Any]:
    position = fields.numbers("ImagePositionPatient", 3)
    orientation = fields.numbers("ImageOrientationPatient", 6)
    spacing = fields.numbers("PixelSpacing", 2)
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    errors = (abs(np.linalg.norm(row) - 1), abs(np.linalg.norm(column) - 1), abs(row @ column))
    if max(errors) > _LARGEST_COSINE_ERROR:
        raise InputError(
            f"{fields.path}: ImageOrientationPatient {list(orientation)} is not a pair of perpendicular unit vectors; "
            "export it again"
        )
    if min(spacing) <= 0:
        raise InputError(f"{fields.path}: PixelSpacing is {list(spacing)}; it has to be above 0; export it again")
    slope, intercept = fields.number_or("RescaleSlope", 1.0), fields.number_or("RescaleIntercept", 0.0)
    if slope == 0.0:
        raise InputError(f"{fields.path}: RescaleSlope is 0, so every voxel has one value; export it again")
    return {
        "position": position,
        "orientation": orientation,
        "pixel_spacing": spacing,
        "slope": slope,
        "intercept": intercept,
        "slice_thickness": max(fields.number_or("SliceThickness", 0.0), 0.0),
        # Some files give it a sign, which means a direction.
        "spacing_between_slices": abs(fields.number_or("SpacingBetweenSlices", 0.0)),
    }


def _frame_times(fields: Fields, path: Path, number_of_frames: int) -> list[float]:
    """Return the times (ms) of the frames of a multi-frame file without functional groups.

    Raises:
        InputError: where the header does not say that the frames follow each other in time.
    """
    pointer = fields.data[0].get("FrameIncrementPointer")
    step = fields.number("FrameTime")
    if step is None or step <= 0 or (pointer is not None and pointer not in _FRAME_TIME_POINTERS):
        raise InputError(
            f"{path}: {number_of_frames} frames without functional groups or FrameTime, so nobody can tell slices from "
            "times; export it as Enhanced MR or as single files"
        )
    return [number * step for number in range(number_of_frames)]


def _classic_labels(fields: Fields) -> dict[str, float]:
    keywords = {
        "echo_time": "EchoTime",
        "trigger_time": "TriggerTime" if fields.number("TriggerTime") is not None else "NominalCardiacTriggerDelayTime",
        "temporal_position": "TemporalPositionIdentifier",
        "acquisition_number": "AcquisitionNumber",
        "instance_number": "InstanceNumber",
    }
    acquired = _milliseconds(
        fields.text("AcquisitionDateTime"), fields.text("AcquisitionDate"), fields.text("AcquisitionTime")
    )
    resolution = _temporal_resolution(fields)
    return _labels(fields, keywords, temporal_resolution=resolution, acquisition_time=acquired)


def _temporal_resolution(fields: Fields) -> float | None:
    """Return the ms from one temporal position to the next, None where they are not given or their unit is doubtful."""
    value = fields.number("TemporalResolution")
    if value is None or value <= 0 or fields.text("Manufacturer").upper().startswith(_MICROSECOND_MAKERS):
        return None
    return value


def _enhanced_labels(fields: Fields) -> dict[str, float]:
    keywords = {
        "echo_time": "EffectiveEchoTime",
        "trigger_time": "NominalCardiacTriggerDelayTime",
        "temporal_position": "TemporalPositionIndex",
        "acquisition_number": "FrameAcquisitionNumber",
    }
    seconds = fields.number("TemporalPositionTimeOffset")
    offset = None if seconds is None else 1000.0 * seconds
    acquired = _milliseconds(fields.text("FrameReferenceDateTime"), "", "")
    if acquired is None:
        acquired = _milliseconds(fields.text("FrameAcquisitionDateTime"), "", "")
    return _labels(fields, keywords, time_offset=offset, acquisition_time=acquired)


def _labels(fields: Fields, keywords: Mapping[str, str], **others: float | None) -> dict[str, float]:
    """Return the labels of a frame that have a number: of an element, or among the others."""
    labels = {label: fields.number(keyword) for label, keyword in keywords.items()} | others
    return {label: value for label, value in labels.items() if value is not None}


def _milliseconds(date_time: str, day: str, time: str) -> float | None:
    """Return a date and time (DT, or DA and TM) in ms from a fixed midnight, or the time alone if the date is invalid.

    None where there is no time.
    """
    try:
        if date_time:
            parsed = DT(date_time)
            days, clock = parsed.date().toordinal(), parsed
        else:
            clock = TM(time)
            try:
                days = DA(day).toordinal()
            except (AttributeError, ValueError):
                days = 0
        return 1000.0 * (((days * 24 + clock.hour) * 60 + clock.minute) * 60 + clock.second) + clock.microsecond / 1000
    except (AttributeError, ValueError, TypeError):
        return None
