"""How scans are measured when a method is tried: degradations as scanners make them, with and without noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from custom.degradations import (
    AreaMean,
    BicubicGaussian,
    GaussianBlur,
    GaussianProfile,
    KSpaceCrop,
    KSpaceTruncation,
    SeparableDegradation,
    Sharpened,
)
from custom.degradations.appearance import smooth_curves
from custom.degradations.family import unit_noise

__all__ = ["Condition", "trial_conditions"]

# Radians from the middle of the image to its edges, of the linear and of the quadratic part of the phase.
_PHASE = 2.0
# Of the blur in voxels, where the bundle's degradation is no blur.
_SIGMA = 2.5


@dataclass(frozen=True)
class Condition:
    """A degradation and the noise that comes with it.

    Attributes:
        name: of the degradation.
        degradation: of single images.
        noise: standard deviation of the complex noise in each of its two parts, data range 1. The noise has gone
            through the same window, zero filling and sharpening as the image; the magnitude makes it Rician.
        magnitude: the image is the magnitude of a complex one with a smooth phase, as a scanner stores it.
        held_out: the random family that networks are trained on does not have it.
    """

    name: str
    degradation: SeparableDegradation
    noise: float = 0.0
    magnitude: bool = False
    held_out: bool = False

    def measure(self, images: Tensor) -> Tensor:
        """Make low-resolution images; phase and noise are drawn by torch's generator on the CPU.

        Args:
            images: `(B, C, *spatial)`, real, data range 1.
        """
        lr: Tensor = self.degradation(images * self._phase(images) if self.magnitude else images)
        if self.noise > 0:
            lr = lr + self._coloured(torch.complex(*(self.noise * torch.randn(2, *lr.shape)))).to(lr.device)
        return lr.abs() if lr.is_complex() else lr

    def _phase(self, images: Tensor) -> Tensor:
        phase = torch.zeros(())
        for axis, size in enumerate(images.shape[2:], start=2):
            shape = [-1 if a in (0, axis) else 1 for a in range(images.ndim)]
            shape[0] = len(images)
            phase = phase + _PHASE * smooth_curves(len(images), size).reshape(shape)
        return torch.exp(1j * phase).to(images.device)

    def _coloured(self, noise: Tensor) -> Tensor:
        for axis in range(2, noise.ndim):
            matrix = self.degradation.noise_matrix(axis - 2, noise.shape[axis])
            if matrix is not None:
                noise = (noise.movedim(axis, -1) @ unit_noise(matrix).to(noise.dtype).T).movedim(-1, axis)
        return noise


def trial_conditions(degradation: SeparableDegradation, noise_levels: Sequence[float]) -> list[Condition]:
    """Return the conditions of the table of robustness, each degradation with each noise.

    First the degradation of the bundle; then one of each kind of the random family, with parameters in the middle of
    their ranges; then some that no family is trained on. Of a grid that is refined these are a k-space crop with a
    Tukey window, zero-filled by 1.5; a slice profile (a box convolved with a Gaussian); and bicubic shrinking with 2 %
    noise. Of a grid that is kept: a truncated k-space with a Tukey window, and a blur along the first two axes alone;
    and there the scan as it is counts too. What is not on the grid of the bundle's degradation is left out.

    Args:
        degradation: of the bundle, of single images.
        noise_levels: standard deviations, data range 1.
    """
    if degradation.keeps_grid:
        return _conditions_on_the_same_grid(degradation, noise_levels)
    scale = degradation.scale_factor
    area = AreaMean(scale)
    crop, hamming, fermi = (KSpaceCrop(scale, window=window) for window in ("none", "hamming", "fermi"))
    kinds = [
        Condition("published", degradation),
        Condition("area mean", area),
        Condition("bicubic", BicubicGaussian(scale, sigma=0.0)),
        # Half and one and a half of the width at which a profile is as wide as a voxel.
        Condition("Gaussian, narrow", GaussianProfile(scale, sigma=0.21)),
        Condition("Gaussian, wide", GaussianProfile(scale, sigma=0.64)),
        Condition("k-space crop", crop, magnitude=True),
        Condition("k-space crop, Hamming", hamming, magnitude=True),
        Condition("k-space crop, Fermi", fermi, magnitude=True),
        Condition("area mean, sharpened", Sharpened(area, amount=0.5)),
        Condition(
            "k-space crop, Tukey, zero-filled",
            KSpaceCrop(scale, window="tukey", window_strength=0.5, zero_filling=1.5),
            magnitude=True,
            held_out=True,
        ),
        Condition("slice profile", GaussianProfile(scale, sigma=0.2, box=1.0), held_out=True),
    ]
    found = [
        Condition(c.name, c.degradation, noise, c.magnitude, c.held_out)
        for c in kinds
        for noise in noise_levels
        if c.degradation.grid == degradation.grid and (c is kinds[0] or repr(c.degradation) != repr(degradation))
    ]
    bicubic = kinds[2].degradation
    if bicubic.grid == degradation.grid:
        found.append(Condition("bicubic", bicubic, noise=0.02, held_out=True))
    return found


def _conditions_on_the_same_grid(degradation: SeparableDegradation, noise_levels: Sequence[float]) -> list[Condition]:
    axes = degradation.spatial_dims
    own = [width for width in getattr(degradation, "sigma", ()) if width > 0]
    sigma = max(own, default=_SIGMA)
    kinds = [
        Condition("published", degradation),
        Condition("Gaussian, half as wide", GaussianBlur(sigma / 2, axes)),
        Condition("Gaussian, a fifth as wide", GaussianBlur(sigma / 5, axes)),
        Condition("as it is", GaussianBlur(0.0, axes)),
        Condition("k-space, a quarter", KSpaceTruncation(0.25, axes, "hamming"), magnitude=True),
        Condition(
            "k-space, a third, Tukey",
            KSpaceTruncation(1 / 3, axes, "tukey", 0.5),
            magnitude=True,
            held_out=True,
        ),
        Condition("Gaussian, two axes", GaussianBlur([sigma, sigma, 0.0][:axes]), held_out=True),
    ]
    return [
        Condition(c.name, c.degradation, noise, c.magnitude, c.held_out)
        for c in kinds
        for noise in noise_levels
        if c is kinds[0] or repr(c.degradation) != repr(degradation)
    ]
