"""Frames in order: sorted along the normal of the slices, checked for gaps, and located by one affine."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from pathlib import Path

import numpy as np

from custom.errors import InputError
from custom.scans.dicom.frame import DicomStack, Frame
from custom.scans.dicom.frame_axis import order_frames
from custom.scans.dicom.headers import ImageFile
from custom.scans.dicom.kinds import one_kind

__all__ = ["arrange"]

# Patient coordinates: LPS of DICOM to RAS of the affine.
_LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])
# Direction cosines of one series differ in the last digits; this is 0.06 degrees, 0.1 mm at the end of 128 mm.
_SAME_DIRECTION = 1e-3
# Images closer than this part of their thickness, and than this many mm, belong to one slice.
_SAME_PLACE = 0.05
_SAME_PLACE_MM = 0.1
_SAME_PLACE_UNKNOWN_MM = 0.01
# A slice is misplaced if it is further than this part of the spacing from its place in an even stack.
_LARGEST_UNEVENNESS = 0.02
_SMALLEST_UNEVENNESS_MM = 0.01
# A distance is a multiple of the spacing if it differs from one by less than this part of the spacing.
_NEAR_MULTIPLE = 0.1
# With fewer gaps between phases it is not known which one is usual.
_FEWEST_GAPS = 3
_TILT_DEGREES = 0.1
_LARGEST_TILT_DEGREES = 45.0


def arrange(files: Sequence[ImageFile], numbers: Set[float] = frozenset()) -> DicomStack:
    """Put the frames of one series and kind of image in order.

    Args:
        files: headers without a problem: one multi-frame file, or the classic files of one series.
        numbers: InstanceNumbers of all images of the series, other kinds of image included.

    Raises:
        InputError: for frames that do not make one evenly spaced stack: sizes or orientations differ, slices are
            missing or unevenly spaced, or a slice lacks a frame that others have.
    """
    first = files[0]
    for what, those in (
        ("sizes", [f"{f.columns} x {f.rows}" for f in files]),
        ("photometric interpretations", [f.photometric for f in files]),
        ("stored types", [f.stored_dtype for f in files]),
    ):
        _check_equal(what, those, [f.path.name for f in files], first)
    frames = [frame for file in files for frame in file.frames]
    notes: list[str] = []
    if first.multiframe:
        frames, notes = one_kind(frames, first.path)
    row, column, normal = _axes(frames)
    spacing = _pixel_spacing(frames)
    slices = _slices(frames, normal)
    ordered, axis, values = order_frames(slices)
    if axis == "time" and all("trigger_time" in frame.labels for frame in frames):
        _note_missing_phases(values, frames, notes)
    thickness = float(np.median([frame.slice_thickness for frame in frames]))
    step = _step(slices, normal, thickness, notes)
    if len(slices) > 1:
        _check_stated(ordered, float(step @ normal), numbers, notes)
    affine = np.eye(4)
    affine[:3, 0] = row * spacing[1]
    affine[:3, 1] = column * spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = _position(slices[0])
    affine[:3] *= _LPS_TO_RAS[:, None]
    return DicomStack(
        frames=ordered,
        enhanced=first.enhanced,
        series_uid=first.series_uid,
        rows=first.rows,
        columns=first.columns,
        affine=affine,
        frame_axis=axis,
        frame_values=values,
        slice_thickness=thickness,
        photometric=first.photometric,
        stored_dtype=first.stored_dtype,
        frames_per_file=len(first.frames),
        notes=tuple(notes),
    )


def _check_equal(what: str, values: list[str], names: list[str], first: ImageFile) -> None:
    seen: dict[str, list[str]] = {}
    for value, name in zip(values, names, strict=True):
        seen.setdefault(value, []).append(name)
    if len(seen) > 1:
        words = "; ".join(f"{value} in {_some(found)}" for value, found in seen.items())
        raise InputError(
            f"{first.path.parent}: the images of {_series(first)} have different {what}: {words}; put them in folders "
            "of their own, or remove those that do not belong"
        )


def _some(names: Sequence[str]) -> str:
    return f"{len(names)} files ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"


def _series(file: ImageFile) -> str:
    return f"series {file.series_number or file.series_uid or '(no number)'}"


def _axes(frames: list[Frame]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the unit vectors along a row, along a column and of the normal, LPS.

    Raises:
        InputError: where frames differ in orientation.
    """
    cosines = np.array([frame.orientation for frame in frames])
    groups: list[list[Frame]] = []
    for frame in frames:
        for group in groups:
            if np.abs(np.subtract(frame.orientation, group[0].orientation)).max() <= _SAME_DIRECTION:
                group.append(frame)
                break
        else:
            groups.append([frame])
    if len(groups) > 1:
        words = "; ".join(_some([_label(frame) for frame in group]) for group in groups[:4])
        raise InputError(
            f"{_named_path(frames)}: the images of one series have {len(groups)} different orientations: "
            f"{words}; put those of one orientation in a folder of their own"
        )
    row, column = np.median(cosines, axis=0).reshape(2, 3)
    row, column = row / np.linalg.norm(row), column / np.linalg.norm(column)
    normal = np.cross(row, column)
    return row, column, normal / np.linalg.norm(normal)


def _named_path(frames: Sequence[Frame]) -> Path:
    """Return what a message about frames names: their file, the folder of their files, or the folder above these."""
    files = {frame.path for frame in frames}
    if len(files) == 1:
        return frames[0].path
    folder = frames[0].path.parent
    return folder if all(file.parent == folder for file in files) else folder.parent


def _label(frame: Frame) -> str:
    return frame.path.name if frame.number == 0 else f"{frame.path.name} frame {frame.number + 1}"


def _pixel_spacing(frames: list[Frame]) -> tuple[float, float]:
    spacings = np.array([frame.pixel_spacing for frame in frames])
    middle = np.median(spacings, axis=0)
    worst = int(np.abs(spacings / middle - 1).max(axis=1).argmax())
    if np.abs(spacings[worst] / middle - 1).max() > _SAME_DIRECTION:
        raise InputError(
            f"{frames[worst].path}: PixelSpacing is {spacings[worst].tolist()} and {middle.tolist()} in the rest of "
            "the series; put it in a folder of its own"
        )
    return float(middle[0]), float(middle[1])


def _slices(frames: list[Frame], normal: np.ndarray) -> list[list[Frame]]:
    """Group frames by their position along the normal, in ascending order: one group for each slice."""
    heights = np.array([np.dot(frame.position, normal) for frame in frames])
    sizes = [size for frame in frames for size in (frame.slice_thickness, frame.spacing_between_slices) if size > 0]
    tolerance = min(_SAME_PLACE_MM, _SAME_PLACE * min(sizes)) if sizes else _SAME_PLACE_UNKNOWN_MM
    order = np.argsort(heights, kind="stable")
    slices: list[list[Frame]] = []
    last = -math.inf
    for index in order:
        if heights[index] - last > tolerance:
            slices.append([])
            # Measured from the first frame of a slice, so that small steps do not add up.
            last = heights[index]
        slices[-1].append(frames[index])
    for group in slices:
        apart = np.ptp([frame.position for frame in group], axis=0).max()
        # Twice, because each of two positions may be rounded.
        if apart > 2 * tolerance:
            raise InputError(
                f"{_named_path(group)}: {_label(group[0])} and {len(group) - 1} other images lie in one plane but up "
                f"to {apart:.3g} mm apart within it; put them in folders of their own"
            )
    return slices


def _position(group: list[Frame]) -> np.ndarray:
    return np.mean([frame.position for frame in group], axis=0)


def _note_missing_phases(times: Sequence[float], frames: Sequence[Frame], notes: list[str]) -> None:
    """Note gaps between the phases of a cine that are multiples of the usual gap: an export may have lost phases."""
    gaps = np.diff(times)
    if len(gaps) < _FEWEST_GAPS:
        return
    # At least half of the gaps have to be usual ones, so the quarter of the smallest ends with one of them.
    usual = float(np.quantile(gaps, 0.25))
    multiples = np.rint(gaps / usual) if usual > 0 else np.ones_like(gaps)
    mostly_single = multiples.min() == 1 and (multiples == 1).sum() * 2 >= len(gaps)
    if mostly_single and multiples.max() > 1 and np.abs(gaps / usual - multiples).max() < _NEAR_MULTIPLE:
        words = [f"after {time:.4g} ms" for time, multiple in zip(times, multiples, strict=False) if multiple > 1]
        notes.append(
            f"{_named_path(frames)}: phases are {usual:.4g} ms apart, but {int((multiples - 1).sum())} seem to be "
            f"missing, {', '.join(words[:5])}; the trigger times are used as they are"
        )


def _step(slices: list[list[Frame]], normal: np.ndarray, thickness: float, notes: list[str]) -> np.ndarray:
    """Return the vector from one slice to the next, LPS mm; oddities are added to the notes.

    Raises:
        InputError: where the slices are not evenly spaced on one line.
    """
    first = slices[0][0]
    firsts = [group[0] for group in slices]
    stated = float(np.median([frame.spacing_between_slices for group in slices for frame in group]))
    if len(slices) == 1:
        spacing = stated or thickness
        if spacing <= 0:
            notes.append(f"{first.path}: one slice without thickness or spacing; a thickness of 1 mm is taken")
            spacing = 1.0
        return normal * spacing
    positions = np.array([_position(group) for group in slices])
    step = (positions[-1] - positions[0]) / (len(slices) - 1)
    spacing = float(step @ normal)
    off = positions - positions[0] - np.arange(len(slices))[:, None] * step
    allowed = max(_LARGEST_UNEVENNESS * spacing, _SMALLEST_UNEVENNESS_MM)
    if np.abs(off @ normal).max() > allowed:
        raise _uneven(slices, positions @ normal, stated)
    tilt = math.degrees(math.atan2(float(np.linalg.norm(step - spacing * normal)), spacing))
    shift = float(np.linalg.norm(off, axis=1).max())
    if shift > 2 * allowed or tilt > _LARGEST_TILT_DEGREES:
        worst = slices[int(np.linalg.norm(off, axis=1).argmax())][0]
        raise InputError(
            f"{_named_path(firsts)}: the slices do not lie behind each other: {_label(worst)} is {shift:.3g} mm beside "
            f"the line from the first to the last slice, which leans {tilt:.3g} degrees; export the series again"
        )
    if tilt > _TILT_DEGREES:
        notes.append(
            f"{_named_path(firsts)}: the slices lean {tilt:.3g} degrees against their normal (gantry tilt); the affine "
            "is sheared accordingly"
        )
    return step


def _check_stated(slices: Sequence[Sequence[Frame]], spacing: float, others: Set[float], notes: list[str]) -> None:
    """Compare the spacing of even slices (mm) with what SpacingBetweenSlices says.

    Some vendors write another distance there, so slices that are a multiple of it apart are only noted. They are an
    error if InstanceNumbers are missing as well: those of the slices between.

    Raises:
        InputError: where the same number of slices is missing between each two.
    """
    stated = float(np.median([frame.spacing_between_slices for row in slices for frame in row]))
    multiple = round(spacing / stated) if stated else 1
    if multiple <= 1 or abs(spacing / stated - multiple) >= _NEAR_MULTIPLE:
        return
    path = _named_path([row[0] for row in slices])
    words = f"the slices are {spacing:.4g} mm apart and SpacingBetweenSlices says {stated:.4g}"
    lost = _missing_numbers(slices, multiple, others)
    if lost:
        missing = (len(slices) - 1) * (multiple - 1)
        numbers = ", ".join(f"{number:.0f}" for number in lost[:8])
        raise InputError(
            f"{path}: {missing} of {len(slices) + missing} slices are missing: {words}, and there is no "
            f"InstanceNumber {numbers}{', ...' if len(lost) > 8 else ''}; export the whole series"
        )
    notes.append(f"{path}: {words}: slices may be missing; the positions are used")


def _missing_numbers(slices: Sequence[Sequence[Frame]], multiple: int, others: Set[float]) -> list[float]:
    """Return the InstanceNumbers that are missing if of the slices only every `multiple`-th is there.

    Numbers may run slice by slice (all frames of each) or frame by frame (all slices of each), up or down; where they
    do neither, or a number between is there, nothing is known to be missing.
    """
    frames = [frame for row in slices for frame in row]
    if any(frame.number for frame in frames) or not all("instance_number" in frame.labels for frame in frames):
        return []
    numbers = np.array([[frame.labels["instance_number"] for frame in row] for row in slices])
    steps = np.diff(numbers, axis=0)
    step = float(steps[0, 0])
    if (steps != step).any() or abs(step) not in (multiple, multiple * numbers.shape[1]):
        return []
    between = numbers[:-1, :, None] + step * np.arange(1, multiple) / multiple
    lost = sorted({float(number) for number in between.flat})
    return [] if {*numbers.flat, *others} & set(lost) else lost


def _uneven(slices: list[list[Frame]], heights: np.ndarray, stated: float) -> InputError:
    """Make the error of unevenly spaced slices: it names missing slices, or else where the spacing changes."""
    gaps = np.diff(heights)
    folder = _named_path([group[0] for group in slices])
    for unit in (stated, float(np.median(gaps)), float(gaps.min())):
        if unit <= 0:
            continue
        multiples = np.rint(gaps / unit)
        near = np.abs(gaps / unit - multiples) < _NEAR_MULTIPLE
        # If SpacingBetweenSlices does not say so, at least half of the gaps have to have this size.
        likely = unit == stated or (multiples == 1).sum() * 2 >= len(gaps)
        if near.all() and multiples.min() >= 1 and multiples.max() > 1 and likely:
            words = [
                f"{int(multiples[k]) - 1} between {_label(slices[k][0])} (at {heights[k]:.5g} mm along the normal) and "
                f"{_label(slices[k + 1][0])} (at {heights[k + 1]:.5g} mm)"
                for k in np.flatnonzero(multiples > 1)
            ]
            missing = int((multiples - 1).sum())
            return InputError(
                f"{folder}: {missing} of {len(slices) + missing} slices are missing: {'; '.join(words[:5])}"
                f"{'; ...' if len(words) > 5 else ''}; export the whole series"
            )
    k = int(np.abs(gaps - np.median(gaps)).argmax())
    return InputError(
        f"{folder}: the slices are not evenly spaced: {gaps.min():.4g} to {gaps.max():.4g} mm apart, "
        f"{gaps[k]:.4g} mm between {_label(slices[k][0])} and {_label(slices[k + 1][0])} against "
        f"{float(np.median(gaps)):.4g} mm mostly; resample it, or export the series again"
    )
