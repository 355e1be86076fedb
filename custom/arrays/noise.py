"""The noise of a scan, estimated from the scan alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from custom.arrays.intensity import foreground_mask
from custom.errors import InputError

__all__ = ["noise_level"]

# The median of the absolute value of Gaussian noise of standard deviation 1.
_MEDIAN = 0.6745
# The norm of the second difference (1, -2, 1) is the root of this.
_GAIN = 6.0
# The standard deviation of the magnitude of complex noise that has 1 in each of its two parts (Rayleigh).
_IN_AIR = math.sqrt(2 - math.pi / 2)
_FEWEST_VOXELS = 100
# A piece of the foreground that is smaller than this part of its largest one is noise in air.
_SMALLEST_PIECE = 0.05
# Air of which more is 0 was cut out or suppressed. Noise of the size of a rounding step leaves about this much.
_MOST_ZEROS = 0.1
# In air alone the estimate is 0.52 of the mean of the voxels; in tissue of five times the noise it is 0.2.
_LARGEST_PART = 0.4


def noise_level(image: Tensor) -> float:
    """Estimate the standard deviation of the noise in the tissue of a magnitude image.

    Second differences along all axes, one after the other, leave nothing of what is constant or linear along any of
    them; of white noise they leave `6 ** (axes / 2)` of its standard deviation. The median of their absolute values is
    hardly moved by the few voxels at edges. It is taken twice, of voxels whose neighbours are all in the foreground,
    and of those whose neighbours are all in air, and the smaller estimate counts:

    - In tissue of at least three times the noise a magnitude has nearly the noise of its complex image (Rician). This
      estimate is too high where tissue has detail of the size of a voxel in every direction: without noise it is 0.03
      of the intensity scale in a single slice of a brain with voxels of 3.5 mm, 0.02 in one of a heart with voxels of
      5 mm, 0.005 at a resolution of 1 mm, and 0.006 in a volume with slices of 1 mm.
    - In air a magnitude has 0.655 of the noise of its complex image (Rayleigh), and no detail. This estimate is left
      out where air has been set to 0, as by skull-stripping.

    The estimate is too low where a filter or zero filling has smoothed the noise, and where parallel imaging leaves
    less noise in air than in tissue.

    Args:
        image: `(*spatial)`, one frame; axes of fewer than three voxels are not differentiated.

    Returns:
        In the image's unit; 0 where there is no noise.

    Raises:
        InputError: the image is too small, or is air alone: no tissue stands out from the noise.

    Source: J. Immerkaer, "Fast noise variance estimation", Computer Vision and Image Understanding 64, 1996, whose mask
    is the second difference along two axes; D. Donoho, "De-noising by soft-thresholding", IEEE Transactions on
    Information Theory 41, 1995, for the median; H. Gudbjartsson and S. Patz, "The Rician distribution of noisy MRI
    data", Magnetic Resonance in Medicine 34, 1995, for tissue and air.
    """
    values = image.detach().as_subclass(Tensor).float()
    axes = [axis for axis, size in enumerate(values.shape) if size >= 3]
    tissue = torch.from_numpy(_without_specks(foreground_mask(values))).to(values.device)
    found = _second_differences(values, tissue, axes)
    if len(axes) < 2 or len(found) < _FEWEST_VOXELS:
        raise InputError(
            f"no noise level can be estimated: only {len(found) if len(axes) > 1 else 0} voxels lie within tissue, and "
            f"{_FEWEST_VOXELS} are needed"
        )
    level = _deviation(found, len(axes))
    mean = float(values[tissue].mean())
    if level > _LARGEST_PART * mean:
        raise InputError(
            f"no noise level can be estimated: no tissue stands out from the noise (about {level:.3g}, and the voxels "
            f"have a mean of {mean:.3g}), so the image seems to be air alone"
        )
    in_air = _second_differences(values, ~tissue, axes)
    if len(in_air) >= _FEWEST_VOXELS and float((values[~tissue] == 0).float().mean()) <= _MOST_ZEROS:
        level = min(level, _deviation(in_air, len(axes)) / _IN_AIR)
    return level


def _without_specks(foreground: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Leave out small pieces; without the bright voxels in air its noise would seem to be lower."""
    pieces, _ = ndimage.label(foreground)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0  # air
    return foreground & (sizes[pieces] >= _SMALLEST_PIECE * sizes.max())


def _second_differences(values: Tensor, region: Tensor, axes: Sequence[int]) -> Tensor:
    """Take second differences along the axes, and give those that lie in a region with all their neighbours."""
    for axis in axes:
        values = values.diff(n=2, dim=axis)
        count = region.shape[axis] - 2
        region = region.narrow(axis, 0, count) & region.narrow(axis, 1, count) & region.narrow(axis, 2, count)
    return values[region]


def _deviation(differences: Tensor, axes: int) -> float:
    """Give the standard deviation of the noise whose second differences along some axes these are."""
    return float(differences.abs().median()) / (_MEDIAN * _GAIN ** (axes / 2))
