"""The blood pool of a short-axis cine by a fixed threshold: its area over the cycle, and how two methods agree on it.

The relative change of the area over the cycle stands in for the ejection fraction. It is a surrogate: the papillary
muscles are left out, the outline is the threshold's and no reader's, and no expert has seen it.
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

# All parts of the shorter side of the slice. The heart is sought within this distance from the middle,
_HEART_RADIUS = 0.3
# frames are smoothed by this much before anything is sought in them,
_SMOOTHING = 0.006
# and the pool is widened by this much, so that one that a method smears out or that moves is still counted.
_RIM = 0.012
# A pool that runs together with something else is cut off at this many of its radii; blood and muscle are told apart
# within the same circle, of which the wall fills the outer part.
_CUT = 1.5
# A pool holds at least a circle of this radius, about 5 mm in 340 mm.
_SMALLEST_RADIUS = 0.015
# The heart reaches this many times as far as half of what moves in it.
_REACH = 2.0
_HISTOGRAM_BINS = 256
_LIMITS_OF_AGREEMENT = 1.96


@dataclass(frozen=True)
class BloodPool:
    """Where to look for the pool of a slice, and from which signal on a pixel is blood.

    Attributes:
        region: (rows, columns).
        threshold: in the units of the image that it was found in.
    """

    region: NDArray[np.bool_]
    threshold: float

    def areas(self, frames: Tensor) -> list[float]:
        """Return the number of pixels of blood in each of the frames (frames, rows, columns)."""
        inside = frames.detach().float().cpu().numpy() > self.threshold
        return [float(count) for count in (inside & self.region).sum(axis=(1, 2))]


@dataclass(frozen=True)
class Agreement:
    """Bias and limits of agreement of a method with the truth; NaN where there are too few values.

    Attributes:
        bias: mean difference.
        low: bias - 1.96 standard deviations of the differences.
        high: bias + 1.96 standard deviations.
        count: how many pairs.
    """

    bias: float
    low: float
    high: float
    count: int


def find_blood_pool(truth: Tensor, threshold: float | None = None) -> BloodPool | None:
    """Find the pool of the left ventricle in the true frames of one slice; it then serves for all methods.

    The heart is a circle around what moves near the middle of the slice (a single frame: the middle of the slice).
    Pieces in it that are brighter than Otsu's threshold are judged by the largest circle that they hold: it should be
    large, fill much of its piece (the right ventricle is a crescent), and lie near the heart's middle. Around the best
    circle of all frames Otsu's threshold is found again, once for all frames: it tells blood from muscle. The region
    is the piece there with its holes (papillary muscles) and a rim, without the other pieces of that frame.

    On patients the result was looked at: right in most slices between base and apex, and not to be relied on beyond.

    Source of the threshold: Otsu 1979.

    Args:
        truth: (frames, rows, columns).
        threshold: in the image's units, to take instead of Otsu's.

    Returns:
        None where no piece is large enough.
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
    for _ in range(2):  # papillary muscles push the largest circle aside: the pool's own middle and size take its place
        near = _within(frame.shape, centre, _CUT * radius)
        pool = ndimage.binary_fill_holes(_piece_at((frame > first_threshold) & near, place))
        centre, radius = _middle(pool), math.sqrt(pool.sum() / math.pi)
    near = _within(frame.shape, centre, _CUT * radius)
    if threshold is None:
        threshold = otsu_threshold(smooth[:, near])
    pools = [ndimage.binary_fill_holes(_piece_at((frame > threshold) & near, place)) for frame in smooth]
    widest = int(np.argmax([pool.sum() for pool in pools]))
    pool, bright = pools[widest], smooth[widest] > threshold
    if not pool.any():
        return None
    region = ndimage.binary_dilation(pool, iterations=max(1, round(_RIM * side)))
    return BloodPool(region & near & ~ndimage.binary_dilation(bright & ~pool), float(threshold))


def ejection(areas: Sequence[float]) -> float:
    """Return (largest - smallest) / largest, 0 to 1; NaN where there is no area or only one frame."""
    largest = max(areas, default=0.0)
    return (largest - min(areas)) / largest if len(areas) > 1 and largest > 0 else math.nan


def agreement(values: Sequence[float], reference: Sequence[float]) -> Agreement:
    """Return the bias of values against their reference and the limits of agreement, bias +- 1.96 SD.

    Pairs with a NaN are left out. The limits need two pairs, and take the pairs as independent.

    Source: Bland and Altman 1986.

    Raises:
        ValueError: if the two are not of one length.
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
    """Return the value that parts a histogram of 256 bins so that the variance between its two sides is largest."""
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
    """Return the piece that a pixel belongs to; nothing if it is dark."""
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
    """Return the largest circle of each piece; `distance` from the heart's middle, 1 at its edge."""
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
    """Find the heart: the distance of every pixel from its middle, and how far it reaches, in pixels."""
    rows, columns = np.indices(frames.shape[1:])
    reach = _HEART_RADIUS * min(frames.shape[1:])
    middle = [(n - 1) / 2 for n in frames.shape[1:]]
    distance = np.hypot(rows - middle[0], columns - middle[1])
    near = distance < reach
    # What is brighter than blood, such as the fat of the chest, would outweigh the heart by small movements.
    motion = np.minimum(frames, otsu_threshold(frames[:, near])).std(axis=0)
    if len(frames) < 2 or not motion[near].any():
        return distance, reach
    moving = np.argwhere(near & (motion > otsu_threshold(motion[near])))
    middle = [float(value) for value in np.median(moving, axis=0)]
    distance = np.hypot(rows - middle[0], columns - middle[1])
    return distance, min(reach, _REACH * float(np.median(distance[tuple(moving.T)])))
