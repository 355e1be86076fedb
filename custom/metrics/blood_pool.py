"""The area of the blood pool in a short-axis cine, by a threshold, and the agreement of two methods on it.

The relative change of the area over the heart cycle is used in place of the ejection fraction. It is a surrogate: it
leaves out the papillary muscles, its outline comes from a threshold and not from a reader, and no expert has seen it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

__all__ = ["Agreement", "BloodPool", "agreement", "ejection", "find_blood_pool", "otsu_threshold"]

# Lengths are fractions of the shorter side of the slice.
# The heart lies within this distance of the middle of the slice.
_HEART_RADIUS = 0.3
# Standard deviation of the Gaussian that smooths the frames first.
_SMOOTHING = 0.006
# The region is wider than the true pool by this rim, so that it also holds the pool of a method that blurs or moves it.
_RIM = 0.012
# The smallest radius of a pool, about 5 mm in a field of view of 340 mm.
_SMALLEST_RADIUS = 0.015
# The region and the threshold are found within this many radii of the pool, so that the muscular wall is inside and
# neighbours of the same brightness are cut off.
_CUT = 1.5
# The radius of the heart over the median distance of the moving pixels from its middle.
_REACH = 2.0
_HISTOGRAM_BINS = 256
_LIMITS_OF_AGREEMENT = 1.96


@dataclass(frozen=True)
class BloodPool:
    """The region that holds the blood pool of a slice, and the signal above which a pixel in it is blood.

    Attributes:
        region: (rows, columns), true where blood is counted.
        threshold: in the units of the image that it was found in.
    """

    region: NDArray[np.bool_]
    threshold: float

    def areas(self, frames: Tensor) -> list[float]:
        """Return the number of blood pixels in each frame.

        Args:
            frames: (frames, rows, columns), in the units of the threshold.
        """
        inside = frames.detach().float().cpu().numpy() > self.threshold
        return [float(count) for count in (inside & self.region).sum(axis=(1, 2))]


@dataclass(frozen=True)
class Agreement:
    """Bias and limits of agreement of a method with the truth.

    Attributes:
        bias: the mean difference; NaN if there is no pair.
        low: the lower limit, bias - 1.96 standard deviations of the differences; NaN for fewer than two pairs.
        high: the upper limit, bias + 1.96 standard deviations.
        count: the number of pairs.
    """

    bias: float
    low: float
    high: float
    count: int


def find_blood_pool(truth: Tensor) -> BloodPool | None:
    """Find the blood pool of the left ventricle in the true frames of one slice; all methods are measured in it.

    1. The heart is a circle around the pixels that move near the middle of the slice. For a single frame it is a
       circle around the middle of the slice.
    2. In each frame, Otsu's threshold divides the heart into bright pieces. The largest circle in each piece gets a
       score. The score is high if the circle is large, fills its piece (the right ventricle is a crescent), and lies
       near the middle of the heart.
    3. Around the best circle of all frames, Otsu's threshold is computed again, for all frames together. It separates
       blood from muscle.
    4. The region is the piece at the best circle in the frame where it is largest, with its holes (papillary muscles)
       and a rim, without the other bright pieces of that frame.

    The result was inspected on patients. It is right in most slices between base and apex; it is not reliable beyond.

    Args:
        truth: (frames, rows, columns), any units.

    Returns:
        The pool; None if no bright piece is large enough.

    Source: Otsu 1979, for the threshold.
    """
    frames = truth.detach().float().cpu().numpy().astype(np.float64)
    side = min(frames.shape[1:])
    smooth = np.stack([ndimage.gaussian_filter(frame, _SMOOTHING * side) for frame in frames])
    distance, reach = _heart(smooth)
    heart = distance < reach
    first_threshold = otsu_threshold(smooth[:, heart])
    circles = [
        (circle, frame)
        for frame in smooth
        for circle in _circles((frame > first_threshold) & heart, distance / reach)
        if circle.radius >= _SMALLEST_RADIUS * side
    ]
    if not circles:
        return None
    best, frame = max(circles, key=lambda found: found[0].score)
    place, centre, radius = (best.row, best.column), (float(best.row), float(best.column)), best.radius
    for _ in range(2):  # the largest circle lies beside the papillary muscles, so the pool's own centre replaces it
        near = _within(frame.shape, centre, _CUT * radius)
        pool = ndimage.binary_fill_holes(_piece_at((frame > first_threshold) & near, place))
        centre, radius = _middle(pool), math.sqrt(pool.sum() / math.pi)
    near = _within(frame.shape, centre, _CUT * radius)
    threshold = otsu_threshold(smooth[:, near])
    pools = [ndimage.binary_fill_holes(_piece_at((frame > threshold) & near, place)) for frame in smooth]
    widest = int(np.argmax([pool.sum() for pool in pools]))
    pool, bright = pools[widest], smooth[widest] > threshold
    if not pool.any():
        return None
    region = ndimage.binary_dilation(pool, iterations=max(1, round(_RIM * side)))
    return BloodPool(region & near & ~ndimage.binary_dilation(bright & ~pool), threshold)


def ejection(areas: Sequence[float]) -> float:
    """Return the relative change of the areas of all frames, (largest - smallest) / largest, 0 to 1.

    It is NaN for fewer than two frames, and if all areas are 0.
    """
    largest = max(areas, default=0.0)
    return (largest - min(areas)) / largest if len(areas) > 1 and largest > 0 else math.nan


def agreement(values: Sequence[float], reference: Sequence[float]) -> Agreement:
    """Return the bias of values against a reference, and the limits of agreement.

    Pairs with a NaN are left out. The limits assume that the pairs are independent.

    Raises:
        ValueError: if values and reference have different lengths.

    Source: Bland and Altman 1986.
    """
    if len(values) != len(reference):
        raise ValueError(f"values has {len(values)} numbers and reference {len(reference)}; they must be pairs")
    differences = np.asarray(values, dtype=np.float64) - np.asarray(reference, dtype=np.float64)
    differences = differences[~np.isnan(differences)]
    if differences.size == 0:
        return Agreement(math.nan, math.nan, math.nan, 0)
    bias = float(differences.mean())
    spread = _LIMITS_OF_AGREEMENT * float(differences.std(ddof=1)) if differences.size > 1 else math.nan
    return Agreement(bias, bias - spread, bias + spread, differences.size)


def otsu_threshold(values: NDArray[np.float64]) -> float:
    """Return the threshold that divides the values into two classes with the largest variance between them.

    It is the centre of one of 256 bins between the smallest and the largest value.
    """
    if values.min() == values.max():
        return float(values.min())
    counts, edges = np.histogram(values, bins=_HISTOGRAM_BINS)
    centres = (edges[1:] + edges[:-1]) / 2
    below = counts.cumsum()
    above = counts.sum() - below
    sums = (counts * centres).cumsum()
    with np.errstate(invalid="ignore", divide="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(centres[np.nanargmax(between[:-1])])


def _piece_at(bright: NDArray[np.bool_], place: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the connected piece that a pixel belongs to; an empty mask if the pixel is not bright."""
    labels, _ = ndimage.label(bright)
    return np.asarray((labels == labels[place]) & bright, dtype=bool)


def _within(shape: tuple[int, ...], centre: tuple[float, float], radius: float) -> NDArray[np.bool_]:
    rows, columns = np.indices(shape)
    return np.asarray(np.hypot(rows - centre[0], columns - centre[1]) < radius, dtype=bool)


def _middle(piece: NDArray[np.bool_]) -> tuple[float, float]:
    row, column = np.argwhere(piece).mean(axis=0)
    return float(row), float(column)


@dataclass(frozen=True)
class _Circle:
    """The largest circle in a bright piece, in pixels."""

    row: int
    column: int
    radius: float
    score: float


def _circles(bright: NDArray[np.bool_], distance: NDArray[np.float64]) -> list[_Circle]:
    """Return the largest circle in each bright piece.

    Args:
        bright: (rows, columns).
        distance: of each pixel from the middle of the heart, as a fraction of the heart's radius.
    """
    depth = ndimage.distance_transform_edt(bright)
    labels, count = ndimage.label(bright)
    pieces = range(1, count + 1)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    found = []
    for index, (row, column) in zip(pieces, ndimage.maximum_position(depth, labels, pieces), strict=True):
        radius = float(depth[row, column])
        filled = math.pi * radius**2 / int(sizes[index])
        found.append(_Circle(row, column, radius, radius * math.sqrt(filled) * math.exp(-(distance[row, column] ** 2))))
    return found


def _heart(frames: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return the distance of each pixel from the middle of the heart, and the radius of the heart, in pixels."""
    rows, columns = np.indices(frames.shape[1:])
    reach = _HEART_RADIUS * min(frames.shape[1:])
    middle = [(n - 1) / 2 for n in frames.shape[1:]]
    distance = np.hypot(rows - middle[0], columns - middle[1])
    near = distance < reach
    # Fat is brighter than blood: without this limit its small movements would count more than those of the heart.
    motion = np.minimum(frames, otsu_threshold(frames[:, near])).std(axis=0)
    if len(frames) < 2 or not motion[near].any():
        return distance, reach
    moving = np.argwhere(near & (motion > otsu_threshold(motion[near])))
    middle = [float(value) for value in np.median(moving, axis=0)]
    distance = np.hypot(rows - middle[0], columns - middle[1])
    return distance, min(reach, _REACH * float(np.median(distance[tuple(moving.T)])))
