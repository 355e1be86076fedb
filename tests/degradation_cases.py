"""Every degradation with every option, made from a scale for each axis."""

from __future__ import annotations

from collections.abc import Callable

from custom.degradations import (
    AreaMean,
    BicubicGaussian,
    Bilinear,
    Degradation,
    GaussianBlur,
    GaussianDecimation,
    GaussianProfile,
    KSpaceCrop,
    Sharpened,
)

__all__ = ["DEGRADATIONS"]

DEGRADATIONS: dict[str, Callable[[tuple[int, ...]], Degradation]] = {
    "area_mean": AreaMean,
    "bilinear": Bilinear,
    "bicubic": lambda scale: BicubicGaussian(scale, sigma=0.0),
    "bicubic_gaussian_lr": BicubicGaussian,
    "bicubic_gaussian_hr": lambda scale: BicubicGaussian(scale, sigma=1.5, sigma_grid="hr"),
    "gaussian_decimation": GaussianDecimation,
    "gaussian_decimation_per_axis": lambda scale: GaussianDecimation(scale, sigma=[0.4 * n for n in scale]),
    "gaussian_blur": lambda scale: GaussianBlur([0.5 * n for n in scale]),
    "kspace_crop": KSpaceCrop,
    "kspace_crop_windowed": lambda scale: KSpaceCrop(scale, window="tukey", zero_filling=1.5, mirrored=True),
    "box_profile": lambda scale: GaussianProfile(scale, sigma=0.2, box=1.0),
    "sharpened": lambda scale: Sharpened(AreaMean(scale), amount=0.7),
    "kspace_crop_plain": lambda scale: KSpaceCrop(scale, pixel_centre_grid=False),
}
