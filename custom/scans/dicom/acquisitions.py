"""Acquisitions in one folder: images that lie on one grid, or behind each other, and are scans of their own."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from custom.scans.dicom.fields import shown
from custom.scans.dicom.frame_axis import SAME_ECHO_MS
from custom.scans.dicom.headers import SEQUENCE, TIMING, ImageFile
from custom.scans.dicom.kinds import kind_key

__all__ = ["acquisitions"]

logger = logging.getLogger(__name__)

# Values that differ by less than this part are one setting of the scanner. The repetition time of heart-triggered scans
# follows the heart from slice to slice.
_SAME_SETTING = {"RepetitionTime": 0.2, "InversionTime": 0.01, "FlipAngle": 0.01}
# Positions (mm) are rounded to this many digits to see which images lie at one place.
_PLACE_DIGITS = 2


def acquisitions(images: Sequence[ImageFile]) -> list[list[ImageFile]]:
    """Group images into scans: those of one series, one kind of image and one contrast.

    Images of one series with other settings of the sequence, such as T1 and T2 weighting, are scans of their own. They
    stay together where settings differ from slice to slice, or from one trigger time to the next, as they do in some
    scans with inversion pulses. Echoes are the frames of one scan, unless each has several frames at one place, or
    slices of its own.

    Args:
        images: headers, sorted by name; those of single frames that have a problem are left out.

    Returns:
        The groups; each file of several frames is one.
    """
    series: dict[object, dict[tuple[str, ...], list[ImageFile]]] = {}
    for image in images:
        if image.multiframe:
            series[image.path] = {(): [image]}
        elif not image.problem:
            key = image.series, kind_key(image.frames[0])
            series.setdefault(key, {}).setdefault(image.sequence, []).append(image)
    found = []
    for by_sequence in series.values():
        groups = list(by_sequence.values())
        if groups[0][0].multiframe:
            found += groups
            continue
        parts = [part for group in groups for part in _settings_apart(group)]
        if len(parts) > 1:
            _log_contrasts(parts)
        found += [echo for part in parts for echo in _echoes_apart(part)]
    return found


def _settings_apart(group: list[ImageFile]) -> list[list[ImageFile]]:
    """Split a series by repetition time, inversion time and flip angle."""
    parts = [group]
    for index, keyword in enumerate(TIMING):
        value_of = partial(_timing, index=index)
        parts = [part for whole in parts for part in _split(whole, value_of, _SAME_SETTING[keyword], 0.0)]
    return [group] if group[0].series_uid and _vary_within_scan(parts) else parts


def _vary_within_scan(parts: Sequence[Sequence[ImageFile]]) -> bool:
    """Say whether parts with different settings are the slices of one scan, or the trigger times of one slice."""
    places = [{_place(image) for image in part} for part in parts]
    if any(len(held) > 1 for held in places):
        return False
    if len(set.union(*places)) == len(parts):
        return True
    times = [{image.frames[0].labels.get("trigger_time") for image in part} for part in parts]
    return None not in set.union(*times) and len(set.union(*times)) == sum(map(len, times))


def _echoes_apart(group: list[ImageFile]) -> list[list[ImageFile]]:
    """Split a series by echo if echoes of one place have several frames there, or if they have slices of their own."""
    echoes = _split(group, _echo_time, 0.0, SAME_ECHO_MS)
    places = [Counter(map(_place, echo)) for echo in echoes]
    if len(set.union(*map(set, places))) < sum(map(len, places)):
        are_scans = any(max(held.values()) > 1 for held in places)
    else:
        are_scans = any(len(held) > 1 for held in places)
    return echoes if are_scans else [group]


def _split(
    images: Sequence[ImageFile], value_of: Callable[[ImageFile], float | None], relative: float, absolute: float
) -> list[list[ImageFile]]:
    """Split images by a value; values that differ by less than a tolerance are one, and None is a value too."""
    given = [(value, image) for image in images if (value := value_of(image)) is not None]
    parts: list[list[ImageFile]] = []
    first = math.nan
    for value, image in sorted(given, key=lambda pair: pair[0]):
        if not math.isclose(value, first, rel_tol=relative, abs_tol=absolute):
            parts.append([])
            first = value
        parts[-1].append(image)
    without = [image for image in images if value_of(image) is None]
    return [sorted(part, key=lambda image: image.path) for part in [*parts, without] if part]


def _timing(image: ImageFile, index: int) -> float | None:
    return image.timing[index]


def _echo_time(image: ImageFile) -> float | None:
    return image.frames[0].labels.get("echo_time")


def _place(image: ImageFile) -> tuple[float, ...]:
    return tuple(round(x, _PLACE_DIGITS) for x in image.frames[0].position)


def _log_contrasts(parts: Sequence[Sequence[ImageFile]]) -> None:
    """Log which settings tell the scans of one series apart."""
    first = parts[0][0]
    words = []
    for index, keyword in enumerate((*SEQUENCE, *TIMING)):
        values = dict.fromkeys((*part[0].sequence, *part[0].timing)[index] for part in parts)
        if len(values) > 1:
            words.append(f"{keyword} {', '.join(shown(value) if value else '(none)' for value in values)}")
    logger.info(
        "%s: series %s holds %d scans of different contrast (%s)",
        first.path.parent,
        shown(first.series_number or first.series_uid or "?"),
        len(parts),
        "; ".join(words),
    )
