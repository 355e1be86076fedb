"""How a high-resolution image becomes a low-resolution one: operators that know their grid, adjoint and way back.

`Degradation` is what the rest of the package asks for, `SeparableDegradation` the base of those that are one matrix for
each axis, `SliceBySlice` lets a 2D degradation act on volumes, and `RandomFamily` draws one for each training patch.
"""

from custom.degradations.base import Degradation
from custom.degradations.family import Member, RandomFamily
from custom.degradations.grid import Grid
from custom.degradations.image_domain import (
    AreaMean,
    BicubicGaussian,
    Bilinear,
    GaussianBlur,
    GaussianDecimation,
    GaussianProfile,
)
from custom.degradations.kspace_crop import KSpaceCrop
from custom.degradations.kspace_truncation import KSpaceTruncation
from custom.degradations.pseudo_inverse import PseudoInverse
from custom.degradations.separable import SeparableDegradation
from custom.degradations.sharpened import Sharpened
from custom.degradations.slices import SliceBySlice
from custom.degradations.spectral_wiener import SpectralWiener, power_spectrum
from custom.degradations.upsampling import UPSAMPLING_METHODS, PolyphaseUpsampler
from custom.degradations.wiener import LEAST_NOISE, WienerUpsampler, wiener_statistics

#: Either of the Wiener filters: for a grid that is refined, or kept.
WienerFilter = WienerUpsampler | SpectralWiener

__all__ = [
    "LEAST_NOISE",
    "UPSAMPLING_METHODS",
    "AreaMean",
    "BicubicGaussian",
    "Bilinear",
    "Degradation",
    "GaussianBlur",
    "GaussianDecimation",
    "GaussianProfile",
    "Grid",
    "KSpaceCrop",
    "KSpaceTruncation",
    "Member",
    "PolyphaseUpsampler",
    "PseudoInverse",
    "RandomFamily",
    "SeparableDegradation",
    "Sharpened",
    "SliceBySlice",
    "SpectralWiener",
    "WienerFilter",
    "WienerUpsampler",
    "power_spectrum",
    "wiener_statistics",
]
