"""Separable filters in pieces: what SSIM and HFEN stand on.

Shapes: (B, C, *spatial) with 1 to 3 spatial axes. Eleven or fifteen shifted additions an axis are 5 to 10 times
faster on a CPU than a one-channel convolution, and the pieces bound the memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

__all__ = ["filter_axis", "gaussian_taps", "laplacian_of_gaussian", "pieces", "sum_double", "widen"]

# Voxels in a piece: a dozen float32 maps of this size stay near the cache and far below 500 MB.
_PIECE_VOXELS = 2**20


def gaussian_taps(sigma: float, taps: int) -> list[float]:
    """Return a centred Gaussian of `taps` samples (odd), `sigma` in voxels, that sums to 1."""
    radius = taps // 2
    values = [math.exp(-0.5 * (x / sigma) ** 2) for x in range(-radius, radius + 1)]
    total = math.fsum(values)
    return [value / total for value in values]


def filter_axis(image: Tensor, taps: Sequence[float], axis: int) -> Tensor:
    """Correlate one axis with `taps`; only the valid part is returned, so the axis is len(taps) - 1 shorter."""
    length = image.shape[axis] - len(taps) + 1
    result = image.narrow(axis, 0, length) * taps[0]
    for shift, weight in enumerate(taps[1:], start=1):
        result.add_(image.narrow(axis, shift, length), alpha=weight)
    return result


def laplacian_of_gaussian(image: Tensor, sigma: float, taps: int) -> Tensor:
    """Filter (B, C, *spatial) with a Laplacian of Gaussian, separably; the valid part.

    The second derivative is the Gaussian's, sampled, with its sum taken off along the Gaussian, so that a constant
    gives exactly 0 as with the kernel of MATLAB's `fspecial('log')`.
    """
    smooth_taps = gaussian_taps(sigma, taps)
    radius = taps // 2
    second = [g * (x * x - sigma**2) / sigma**4 for g, x in zip(smooth_taps, range(-radius, radius + 1), strict=True)]
    mean = math.fsum(second)
    second_taps = [d - mean * g for d, g in zip(second, smooth_taps, strict=True)]
    smooth, laplace = image, None
    for axis in range(2, image.ndim):
        # (g * L + g'' * G): the recursion that sums the second derivatives of all axes with three passes an axis.
        curved = filter_axis(smooth, second_taps, axis)
        laplace = curved if laplace is None else curved.add_(filter_axis(laplace, smooth_taps, axis))
        if axis < image.ndim - 1:
            smooth = filter_axis(smooth, smooth_taps, axis)
    if laplace is None:
        raise ValueError(f"image has shape {tuple(image.shape)}, but (B, C, *spatial) is needed")
    return laplace


def pieces(shape: Sequence[int], max_voxels: int = _PIECE_VOXELS) -> Iterator[tuple[slice, slice]]:
    """Cut a valid region (B, C, *spatial) into pieces of about `max_voxels` voxels.

    Yields:
        A slice of the batch axis and one of the first spatial axis; together they cover the region once.
    """
    batch, rows = shape[0], shape[2]
    voxels = math.prod(shape[1:])
    items = max(1, max_voxels // max(1, voxels))
    thickness = rows if items > 1 else max(1, rows * max_voxels // max(1, voxels))
    for item in range(0, batch, items):
        for row in range(0, rows, thickness):
            yield slice(item, min(item + items, batch)), slice(row, min(row + thickness, rows))


def widen(part: slice, margin: int) -> slice:
    """Turn a slice of a valid region into the slice of the input that it is computed from."""
    return slice(part.start, part.stop + margin)


def sum_double(values: Tensor) -> float:
    """Sum in float64."""
    return float(values.sum(dtype=torch.float64))
