"""The intensity scale of a scan, and its foreground: both found from the scan alone."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from custom.errors import InputError

__all__ = ["FOREGROUND_THRESHOLD", "SCALE_PERCENTILE", "foreground_mask", "intensity_scale"]

# A voxel is brighter than air above this part of the brightest tissue; relative, so that the unit does not matter.
FOREGROUND_THRESHOLD = 0.1
# Not the maximum: a few bright vessels would set the scale of the whole scan.
SCALE_PERCENTILE = 99.9


def intensity_scale(image: torch.Tensor | np.ndarray, percentile: float = SCALE_PERCENTILE) -> float:
    """Return the number that brings a magnitude image to about [0, 1]: a high percentile of its foreground.

    Foreground is here every voxel above 10 % of that percentile of the voxels that are not 0; so air around the head,
    however much of it there is and whether or not it was set to 0, has little say.

    Args:
        image: magnitudes, any shape and unit.
        percentile: 0 to 100.

    Returns:
        A number above 0 in the image's unit; k times the image gives k times the number.

    Raises:
        InputError: for an image without positive values.
    """
    array = _as_array(image)
    foreground = array[array > FOREGROUND_THRESHOLD * _bright(array, percentile)]
    return float(np.percentile(foreground, percentile))


def foreground_mask(image: torch.Tensor | np.ndarray, spatial_dims: int | None = None) -> np.ndarray:
    """Find what is not air: voxels above 10 % of the brightest tissue, and the holes that they enclose.

    Axes of size 1 (channel, batch, the third axis of a single slice) do not count: a hole in a slice is filled.

    Args:
        image: magnitudes, any unit; (*spatial), axes of size 1 among them, or (..., *spatial).
        spatial_dims: how many of the last axes are those of space. The images along the others (frames) share one
            threshold, and each has its holes filled by itself. By default all axes are of space.

    Returns:
        Bool array of the image's shape.

    Raises:
        InputError: for an image without positive values.
    """
    array = _as_array(image)
    bright = array > FOREGROUND_THRESHOLD * _bright(array, SCALE_PERCENTILE)
    dims = array.ndim if spatial_dims is None else spatial_dims
    frames = bright.reshape(-1, *array.shape[array.ndim - dims :])
    filled = np.stack([np.asarray(ndimage.binary_fill_holes(f.squeeze()), bool).reshape(f.shape) for f in frames])
    return filled.reshape(array.shape)


def _as_array(image: torch.Tensor | np.ndarray) -> np.ndarray:
    return image.detach().cpu().float().numpy() if isinstance(image, torch.Tensor) else np.asarray(image)


def _bright(array: np.ndarray, percentile: float) -> float:
    nonzero = array[array != 0]
    bright = float(np.percentile(nonzero, percentile)) if nonzero.size else 0.0
    if not bright > 0.0:
        raise InputError(
            "no intensity scale can be found: the image has no positive values; give a magnitude image, and undo any "
            "normalisation to mean 0"
        )
    return bright
