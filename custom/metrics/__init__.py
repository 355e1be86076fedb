"""Image quality, flicker and blood pool of cines, and means over subjects with intervals."""

from custom.metrics.blood_pool import Agreement, BloodPool, agreement, ejection, find_blood_pool
from custom.metrics.bootstrap import Interval, mean_interval, paired_difference
from custom.metrics.checkerboard import checkerboard
from custom.metrics.flicker import flicker
from custom.metrics.image import consistency, hfen, image_metrics, largest_inconsistency, mae, psnr, ssim
from custom.metrics.lpips import LPIPS, find_lpips
from custom.metrics.zscore import zscore_metrics

__all__ = [
    "LPIPS",
    "Agreement",
    "BloodPool",
    "Interval",
    "agreement",
    "checkerboard",
    "consistency",
    "ejection",
    "find_blood_pool",
    "find_lpips",
    "flicker",
    "hfen",
    "image_metrics",
    "largest_inconsistency",
    "mae",
    "mean_interval",
    "paired_difference",
    "psnr",
    "ssim",
    "zscore_metrics",
]
