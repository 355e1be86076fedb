"""The intensity scale of a scan, and its foreground: both found from the scan alone."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from custom.errors import InputError

__all__ = ["FOREGROUND_THRESHOLD", "foreground_mask", "intensity_scale"]

# A voxel is brighter than air above this part of the brightest tissue; relative, so that the unit does not matter.
FOREGROUND_THRESHOLD = 0.1
# Not the maximum: a few bright vessels would set the scale of the whole scan.
_PERCENTILE = 99.9
# Values that a look at a scan takes to guess where its percentile lies.
_SAMPLE = 2**16


def intensity_scale(image: torch.Tensor | np.ndarray) -> float:
    """Return the number that brings a magnitude image to about [0, 1]: the 99.9th percentile of its foreground.

    Foreground is here every voxel above 10 % of that percentile of the voxels that are not 0. The air around the head
    hardly changes the number, however much of it there is and whether or not it was set to 0.

    Args:
        image: magnitudes, any shape and unit.

    Returns:
        A number above 0 in the image's unit; k times the image gives k times the number.

    Raises:
        InputError: for an image without positive values.
    """
    values = _as_array(image).ravel(order="K")
    bright, top = _bright(values)
    # The brightest voxels of the foreground are those of the image.
    count = int(np.count_nonzero(values > FOREGROUND_THRESHOLD * bright))
    return _percentile(top, count)


def foreground_mask(image: torch.Tensor | np.ndarray, spatial_dims: int | None = None) -> np.ndarray:
    """Find what is not air: voxels above 10 % of the brightest tissue, and the holes that they enclose.

    Axes of size 1 (channel, batch, the third axis of a single slice) do not count, so that a hole in a single slice is
    filled.

    Args:
        image: magnitudes, any unit; (*spatial), axes of size 1 among them, or (..., *spatial).
        spatial_dims: how many of the last axes are spatial; by default all. The images along the other axes (frames)
            share one threshold, and the holes of each are filled by themselves.

    Returns:
        Bool array of the image's shape.

    Raises:
        InputError: for an image without positive values.
    """
    array = _as_array(image)
    bright = array > FOREGROUND_THRESHOLD * _bright(array.ravel(order="K"))[0]
    dims = array.ndim if spatial_dims is None else spatial_dims
    frames = bright.reshape(-1, *array.shape[array.ndim - dims :])
    filled = np.stack([np.asarray(ndimage.binary_fill_holes(f.squeeze()), bool).reshape(f.shape) for f in frames])
    return filled.reshape(array.shape)


def _as_array(image: torch.Tensor | np.ndarray) -> np.ndarray:
    return image.detach().cpu().float().numpy() if isinstance(image, torch.Tensor) else np.asarray(image)


def _bright(values: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the percentile of the values that are not 0, and the largest of them, of which it is one."""
    count = int(np.count_nonzero(values))
    needed = int((1 - _PERCENTILE / 100) * count) + 2
    # To partition all values is slow. A sample says which value is somewhat smaller than the percentile, and only those
    # above it are looked at. The step is odd, so that it does not stay in one column of an image of even size.
    sample = values[:: (values.size // _SAMPLE) | 1]
    rank = max(0, sample.size - 1 - int(1.5 * needed / max(1, values.size) * sample.size) - 16)
    pivot = float(np.partition(sample, rank)[rank]) if sample.size else 0.0
    top = values[values > pivot] if pivot > 0 else values[:0]
    if top.size < needed:  # the sample misled
        top = values[values != 0]
    bright = _percentile(top, count) if count else 0.0
    if not bright > 0.0:
        raise InputError(
            "no intensity scale can be found: the image has no positive values; give a magnitude image, and undo any "
            "normalisation to mean 0"
        )
    return bright, top


def _percentile(top: np.ndarray, count: int) -> float:
    """Return the percentile of `count` values of which the largest are given, linear between neighbours."""
    position = _PERCENTILE / 100 * (count - 1) - (count - top.size)
    below = min(max(int(np.floor(position)), 0), top.size - 1)
    above = min(below + 1, top.size - 1)
    low, high = (float(value) for value in np.partition(top, (below, above))[[below, above]])
    return low + (high - low) * (position - below)
