"""PSNR and SSIM of z-scores, to compare with published figures of that kind and with no others."""

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
    """Return PSNR and SSIM, with data range 1, of images whose target has mean 0 and standard deviation 1.

    The mean of the target is subtracted from both images, and both are divided by the population standard deviation of
    the target. Mean and deviation are over all of its slices and frames. Z-scores range from about -1 to 5, so the data
    range of 1 is only a convention. This PSNR is `psnr + 20 log10(standard deviation)`, 10 dB or more below `psnr`.

    Args:
        pred: (B, C, *spatial), 2 or 3 spatial axes.
        target: of the same shape.
        crop_border: see `custom.metrics.image.crop`.

    Returns:
        "psnr_zscore" in dB and "ssim_zscore"; both are NaN if the target has one value only.

    Raises:
        UsageError, InputError: as `custom.metrics.image.crop`.

    Source: the figures published with the cardiac SRResNet of S. Jun (master thesis, Linkoping University). They are
    `tf.image.psnr` and `tf.image.ssim` of z-scored images, with a maximum of 1.
    """
    pred, target = crop(pred, crop_border).float(), crop(target, crop_border).float()
    deviation, mean = torch.std_mean(target.double(), correction=0)
    if deviation == 0:
        return dict.fromkeys(ZSCORE_METRICS, math.nan)
    pred, target = ((image - float(mean)) / float(deviation) for image in (pred, target))
    return {"psnr_zscore": psnr(pred, target), "ssim_zscore": ssim(pred, target)}
