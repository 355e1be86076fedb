"""PSNR and SSIM on z-scores: figures that stand beside published ones, and beside no others."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from custom.metrics.image import crop, psnr, ssim

__all__ = ["ZSCORE_METRICS", "zscore_metrics"]

#: The keys of `zscore_metrics`.
ZSCORE_METRICS = ("psnr_zscore", "ssim_zscore")


def zscore_metrics(pred: Tensor, target: Tensor, crop_border: int | Sequence[int] = 0) -> dict[str, float]:
    """Return PSNR and SSIM with data range 1 of images that were brought to mean 0 and standard deviation 1.

    Both images are shifted and divided by mean and (population) standard deviation of the target, over all of its
    slices and frames. As z-scores reach from about -1 to 5, the range of 1 is a convention only: this PSNR is
    `psnr + 20 log10(standard deviation)`, 10 dB or more below that of the images.

    Args:
        pred: (B, C, *spatial), 2 or 3 spatial axes.
        target: of the same shape.
        crop_border: voxels to leave out at each side of every spatial axis, or of each in turn.

    Returns:
        "psnr_zscore" in dB and "ssim_zscore"; NaN for a target of one value only.

    Raises:
        InputError: if nothing remains within the border.

    Source: the figures published with the cardiac SRResNet of S. Jun (master thesis, Linkoping University), which are
    `tf.image.psnr` and `tf.image.ssim` with a maximum of 1 on z-scored images.
    """
    pred, target = crop(pred, crop_border).float(), crop(target, crop_border).float()
    deviation, mean = torch.std_mean(target.double(), correction=0)
    if deviation == 0:
        return dict.fromkeys(ZSCORE_METRICS, math.nan)
    pred, target = ((image - float(mean)) / float(deviation) for image in (pred, target))
    return {"psnr_zscore": psnr(pred, target), "ssim_zscore": ssim(pred, target)}
