"""Values below 0: a magnitude image that undershoots is told from a signed image."""

from __future__ import annotations

import torch
from torch import Tensor

from custom.arrays.intensity import intensity_scale

__all__ = ["why_signed"]

# Interpolation by splines of order 3 undershoots a step by 0.11 of its height and beside a single bright voxel by 0.14
# of its value. On slices of brains and hearts that were rotated or resized by splines of order 3 and 5, at most 0.2 %
# of the voxels were below -0.1 of the intensity scale, the lowest was -0.27 of the brightest voxel, and the values
# below 0 were 1.3 % of the sum of all absolute values.
_DEEP = 0.1
_LARGEST_DEEP_SHARE = 0.01
_LOWEST = 0.5
# An image of mean 0 has 0.5; one of much air that was shifted down by a few per cent comes near to it.
_LARGEST_PART = 0.4


def why_signed(image: Tensor) -> str:
    """Say why an image is no magnitude image: its values below 0 are more than resampling leaves, or an offset.

    A magnitude image may undershoot where it was interpolated, and may be shifted by a few per cent. The values of a
    signed image are about as far below 0 as above (phase, velocity, a difference), or their mean is 0 (z-scores).

    Args:
        image: (frames, *spatial), any unit; a single signed frame is enough.

    Returns:
        What was found, in words; "" for a magnitude image.
    """
    values = torch.as_tensor(image).as_subclass(Tensor)
    lowest, highest = float(values.min()), float(values.max())
    if lowest >= 0:
        return ""
    absolute = values.abs()
    deep = (values < -_DEEP * intensity_scale(absolute)).flatten(1).count_nonzero(1)
    largest_share = float(deep.max()) * len(values) / values.numel()
    total = float(absolute.sum(dtype=torch.float64))
    part = (total - float(values.sum(dtype=torch.float64))) / (2 * total)
    if lowest >= -_LOWEST * highest and largest_share <= _LARGEST_DEEP_SHARE and part <= _LARGEST_PART:
        return ""
    count = int((values < 0).count_nonzero())
    return f"{count} of {values.numel()} voxels are below 0, the lowest is {lowest:.4g} and the highest {highest:.4g}"
