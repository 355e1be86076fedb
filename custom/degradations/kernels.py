"""The one-dimensional kernels that blur, shrink and interpolate."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from custom.errors import UsageError

__all__ = ["gaussian_weights", "interpolation_weights", "keys_cubic"]


def gaussian_weights(sigma: float) -> NDArray[np.float64]:
    """Give a sampled Gaussian, cut at 4 sigma as scipy does: an odd number of weights that sum to 1.

    Args:
        sigma: in samples; 0 gives the single weight 1.
    """
    radius = int(4.0 * sigma + 0.5)
    if radius == 0:
        return np.ones(1)
    weights: NDArray[np.float64] = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    return weights


def keys_cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate the cubic convolution kernel with a = -0.5 at distances x in samples.

    Source: R. G. Keys, "Cubic convolution interpolation for digital image processing", 1981, equation 15.
    """
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x**2 + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def interpolation_weights(scale: int, offset: float, method: str) -> tuple[int, NDArray[np.float64]]:
    """Give the weights that interpolate low-resolution samples at the high-resolution voxel centres.

    High-resolution voxel `scale * q + r` lies at low-resolution coordinate `q + (r - offset) / scale`, so that the
    weights depend on r alone: its value is `sum_t weights[r, t] * lr[q + first + t]`.

    Args:
        scale: high-resolution voxels to a low-resolution one.
        offset: of the grid, in high-resolution voxels.
        method: "nearest" (halfway takes the lower index), "linear" or "cubic" (Keys, a = -0.5).

    Returns:
        `first`, and the weights `(scale, taps)`; each row sums to 1.

    Raises:
        UsageError: an unknown method.
    """
    position = (np.arange(scale) - offset) / scale
    lowest, highest = math.floor(position.min()) - 1, math.floor(position.max()) + 2
    distance = position[:, None] - np.arange(lowest, highest + 1)
    if method == "nearest":
        weights = ((distance > -0.5) & (distance <= 0.5)).astype(np.float64)
    elif method == "linear":
        weights = np.maximum(1.0 - np.abs(distance), 0.0)
    elif method == "cubic":
        weights = keys_cubic(distance)
    else:
        raise UsageError(
            f"method={method!r}: give 'nearest', 'linear' or 'cubic'; Degradation.upsample has others, which read the "
            "whole image"
        )
    used = np.flatnonzero(weights.any(axis=0))
    return lowest + int(used[0]), weights[:, used[0] : used[-1] + 1]
