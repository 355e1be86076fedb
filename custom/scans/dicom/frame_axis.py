"""The frames of each slice in order: phases of a cine, echoes, or repeated acquisitions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from custom.errors import InputError
from custom.scans.dicom.frame import Frame

__all__ = ["SAME_ECHO_MS", "order_frames"]

# Labels that may tell the frames of a slice apart, in the order in which they are tried, and the axis that each means.
_LABELS = (
    ("echo_time", "echo"),
    ("trigger_time", "time"),
    ("time_offset", "time"),
    ("frame_time", "time"),
    ("temporal_position", "time"),
    ("acquisition_time", "time"),
    ("acquisition_number", "frame"),
    ("instance_number", "frame"),
)
# Echo times of one echo differ by rounding only (ms).
SAME_ECHO_MS = 0.05
_SAME_VALUE = 1e-6


def order_frames(slices: list[list[Frame]]) -> tuple[tuple[tuple[Frame, ...], ...], str, tuple[float, ...]]:
    """Sort the frames of each slice by the first label that tells them apart in all slices.

    Frames of different slices are matched by their order and not by value, because trigger times vary with the heart
    rate.

    Args:
        slices: the frames of each slice.

    Returns:
        The frames [slice k][frame t] with their values; the axis ("", "time", "echo" or "frame"); and its values, the
        mean over the slices.

    Raises:
        InputError: where slices have different numbers of frames, or nothing tells the frames of a slice apart.
    """
    if all(len(group) == 1 for group in slices):
        return tuple(tuple(group) for group in slices), "", (0.0,)
    label, axis = _distinguishing_label(slices)
    resolution = None
    if label == "temporal_position" and not all(_has_times(group) for group in slices):
        resolution = _resolution(slices)
        if resolution is None:
            axis = "frame"  # positions are not times
    ordered = [sorted(group, key=_by(label)) for group in slices]
    _check_counts(ordered, label, axis)
    values = np.array([_values(group, label, axis, resolution) for group in ordered])
    if axis == "echo" and np.ptp(values, axis=0).max() > SAME_ECHO_MS:
        raise InputError(
            f"{slices[0][0].path.parent}: the echo times differ between slices: "
            f"{sorted({tuple(np.round(row, 3).tolist()) for row in values})[:3]} ms; export the series again"
        )
    frames = tuple(
        tuple(replace(frame, value=float(value)) for frame, value in zip(group, row, strict=True))
        for group, row in zip(ordered, values, strict=True)
    )
    return frames, axis, tuple(float(value) for value in values.mean(axis=0))


def _by(label: str) -> Callable[[Frame], float]:
    return lambda frame: frame.labels[label]


def _distinguishing_label(slices: list[list[Frame]]) -> tuple[str, str]:
    for label, axis in _LABELS:
        if all(_tells_apart(group, label) for group in slices):
            return label, axis
    group = next((g for g in slices if not _tells_apart(g, "instance_number")), max(slices, key=len))
    raise InputError(
        f"{group[0].path.parent}: {len(group)} images lie at one place "
        f"({', '.join(frame.path.name for frame in group[:3])}{', ...' if len(group) > 3 else ''}) and nothing tells "
        "them apart (echo, trigger or acquisition time, acquisition or instance number); put each acquisition in a "
        "folder of its own"
    )


def _tells_apart(group: list[Frame], label: str) -> bool:
    if not all(label in frame.labels for frame in group):
        return False
    return bool((np.diff(sorted(frame.labels[label] for frame in group)) > _SAME_VALUE).all())


def _has_times(group: list[Frame]) -> bool:
    """Say whether frames in the order of their temporal positions have ascending acquisition times."""
    if not _tells_apart(group, "acquisition_time"):
        return False
    times = [frame.labels["acquisition_time"] for frame in sorted(group, key=_by("temporal_position"))]
    return times == sorted(times)


def _resolution(slices: list[list[Frame]]) -> float | None:
    """Return the ms from one temporal position to the next, None where frames have different ones."""
    found = {frame.labels.get("temporal_resolution") for group in slices for frame in group}
    return found.pop() if len(found) == 1 else None


def _values(group: list[Frame], label: str, axis: str, resolution: float | None) -> list[float]:
    """Return the value of each frame of a slice on the axis."""
    if axis == "frame":
        return [float(index) for index in range(len(group))]
    if resolution is not None:  # positions count from 1; some scanners begin at 0
        first = min(1.0, *(frame.labels["temporal_position"] for frame in group))
        return [(frame.labels["temporal_position"] - first) * resolution for frame in group]
    if label == "temporal_position":
        label = "acquisition_time"
    values = [frame.labels[label] for frame in group]
    return [value - values[0] for value in values] if label == "acquisition_time" else values


def _check_counts(slices: list[list[Frame]], label: str, axis: str) -> None:
    """Refuse slices with different numbers of frames; the message names the frames that are missing."""
    counts = [len(group) for group in slices]
    if min(counts) == max(counts):
        return
    whole = slices[counts.index(max(counts))]
    words = []
    for k, group in enumerate(slices):
        if len(group) == len(whole):
            continue
        lacking = f"slice {k + 1} ({group[0].path.name}) has {len(group)}"
        if axis != "frame":
            missing = ", ".join(f"{value:.4g}" for value in _missing(group, whole, label))
            lacking += f", none near {label.replace('_', ' ')} {missing}"
        words.append(lacking)
    raise InputError(
        f"{whole[0].path.parent}: the {len(slices)} slices have different numbers of frames: up to {len(whole)}, but "
        f"{'; '.join(words[:5])}{'; ...' if len(words) > 5 else ''}; export the whole series, or put repeated images "
        "in a folder of their own"
    )


def _missing(group: list[Frame], whole: list[Frame], label: str) -> list[float]:
    """Return the values of a whole slice that have no near counterpart in another slice."""
    left = [frame.labels[label] for frame in whole]
    for frame in group:
        left.remove(min(left, key=lambda value: abs(value - frame.labels[label])))
    return left
