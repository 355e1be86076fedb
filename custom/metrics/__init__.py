"""Image quality on tensors: PSNR, SSIM, MAE, HFEN, LPIPS, consistency, checkerboard, and intervals over subjects."""

from custom.metrics.bootstrap import Interval, mean_interval, paired_difference
from custom.metrics.checkerboard import checkerboard
from custom.metrics.image import consistency, hfen, image_metrics, mae, psnr, ssim
from custom.metrics.lpips import LPIPS, find_lpips
from custom.metrics.zscore import zscore_metrics

__all__ = [
    "LPIPS",
    "Interval",
    "checkerboard",
    "consistency",
    "find_lpips",
    "hfen",
    "image_metrics",
    "mae",
    "mean_interval",
    "paired_difference",
    "psnr",
    "ssim",
    "zscore_metrics",
]
