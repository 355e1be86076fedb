"""The noise of a scan, estimated from the scan alone."""

from __future__ import annotations

import torch
from torch import Tensor

from custom.arrays.intensity import foreground_mask
from custom.errors import InputError

__all__ = ["noise_level"]

# The median of the absolute value of Gaussian noise of standard deviation 1.
_MEDIAN = 0.6745
# The norm of the second difference (1, -2, 1) is the root of this.
_GAIN = 6.0
_FEWEST_VOXELS = 100
# In air alone the estimate is 0.52 of the mean of the voxels; in tissue of five times the noise it is 0.2.
_LARGEST_PART = 0.4


def noise_level(image: Tensor) -> float:
    """Estimate the standard deviation of the noise in the tissue of a magnitude image.

    Second differences along all axes, one after the other, leave nothing of what is constant or linear along any of
    them; of white noise they leave `6 ** (axes / 2)` of its standard deviation. The median of their absolute values is
    hardly moved by the few voxels at edges. Only voxels whose neighbours are all in the foreground count, since in air
    the noise of a magnitude image is not Gaussian (Rayleigh, 0.66 of its standard deviation in the channels). In tissue
    of at least three times the noise it nearly is (Rician).

    The estimate is too high where tissue has detail of the size of a voxel in every direction: on brains with voxels of
    3.5 mm it is 0.03 of the intensity scale in a single slice without noise, and 0.006 in a volume with slices of 1 mm.
    It is too low where a filter or zero filling has smoothed the noise.

    Args:
        image: `(*spatial)`, one frame; axes of fewer than three voxels are not differentiated.

    Returns:
        In the image's unit; 0 where there is no noise.

    Raises:
        InputError: the image is too small, or is air alone: no tissue stands out from the noise.

    Source: J. Immerkaer, "Fast noise variance estimation", Computer Vision and Image Understanding 64, 1996, whose mask
    is the second difference along two axes; D. Donoho, "De-noising by soft-thresholding", IEEE Transactions on
    Information Theory 41, 1995, for the median.
    """
    values = image.detach().as_subclass(Tensor).float()
    tissue = inside = torch.from_numpy(foreground_mask(values)).to(values.device)
    differences = values
    axes = [axis for axis, size in enumerate(values.shape) if size >= 3]
    for axis in axes:
        differences = differences.diff(n=2, dim=axis)
        count = inside.shape[axis] - 2
        inside = inside.narrow(axis, 0, count) & inside.narrow(axis, 1, count) & inside.narrow(axis, 2, count)
    found = differences[inside].abs()
    if len(axes) < 2 or len(found) < _FEWEST_VOXELS:
        raise InputError(
            f"no noise level can be estimated: only {len(found) if len(axes) > 1 else 0} voxels lie within tissue, and "
            f"{_FEWEST_VOXELS} are needed"
        )
    level = float(found.median()) / (_MEDIAN * _GAIN ** (len(axes) / 2))
    mean = float(values[tissue].mean())
    if level > _LARGEST_PART * mean:
        raise InputError(
            f"no noise level can be estimated: no tissue stands out from the noise (about {level:.3g}, and the voxels "
            f"have a mean of {mean:.3g}), so the image seems to be air alone"
        )
    return level
