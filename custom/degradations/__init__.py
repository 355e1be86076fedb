"""How a high-resolution image becomes a low-resolution one: operators that know their grid, adjoint and way back."""

from custom.degradations.base import Degradation
from custom.degradations.grid import Grid
from custom.degradations.image_domain import AreaMean, BicubicGaussian, Bilinear, GaussianBlur, GaussianDecimation
from custom.degradations.kspace_crop import KSpaceCrop
from custom.degradations.upsampling import UPSAMPLING_METHODS, PolyphaseUpsampler

__all__ = [
    "UPSAMPLING_METHODS",
    "AreaMean",
    "BicubicGaussian",
    "Bilinear",
    "Degradation",
    "GaussianBlur",
    "GaussianDecimation",
    "Grid",
    "KSpaceCrop",
    "PolyphaseUpsampler",
]
