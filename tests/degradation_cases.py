"""Every degradation with every option, made from a scale for each axis, and images to try them on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from custom.degradations import (
    AreaMean,
    BicubicGaussian,
    Bilinear,
    Degradation,
    GaussianBlur,
    GaussianDecimation,
    GaussianProfile,
    Grid,
    KSpaceCrop,
    KSpaceTruncation,
    Sharpened,
)
from custom.kspace import fft_centred, ifft_centred

__all__ = ["DEGRADATIONS", "MaskedCoils", "centre_of_mass", "degrade", "gaussian_blob", "noise", "random_image"]

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
    "kspace_truncation": lambda scale: KSpaceTruncation([1 / (1 + 0.2 * (n - 1)) for n in scale]),
    "box_profile": lambda scale: GaussianProfile(scale, sigma=0.2, box=1.0),
    "sharpened": lambda scale: Sharpened(AreaMean(scale), amount=0.7),
    "kspace_crop_plain": lambda scale: KSpaceCrop(scale, pixel_centre_grid=False),
}


def noise(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def random_image(*shape: int, seed: int = 0) -> NDArray[np.float64]:
    image: NDArray[np.float64] = np.random.default_rng(seed).standard_normal(shape)
    return image


def degrade(degradation: Degradation, image: NDArray[np.float64]) -> NDArray[np.float64]:
    return degradation(torch.from_numpy(image)[None, None])[0, 0].numpy()


def gaussian_blob(shape: tuple[int, ...], centre: NDArray[np.float64], sigma: NDArray[np.float64]) -> Tensor:
    axes = [np.exp(-0.5 * ((np.arange(n) - c) / w) ** 2) for n, c, w in zip(shape, centre, sigma, strict=True)]
    blob = torch.from_numpy(axes[0])
    for axis in axes[1:]:
        blob = blob[..., None] * torch.from_numpy(axis)
    return blob[None, None]


def centre_of_mass(image: Tensor) -> NDArray[np.float64]:
    spatial = image[0, 0]
    means = []
    for axis in range(spatial.ndim):
        line = spatial.sum([a for a in range(spatial.ndim) if a != axis])
        means.append(float((line * torch.arange(len(line))).sum() / line.sum()))
    return np.array(means)


class MaskedCoils(Degradation):
    """K-space of which every second line was measured, by two coils: no matrix for each axis, no border."""

    def __init__(self, scale: tuple[int, ...] = (1, 1)) -> None:
        super().__init__(Grid.pixel_centre((1,) * len(scale)))

    def _sensitivities(self, size: Sequence[int]) -> Tensor:
        ramp = torch.linspace(0.5, 1.0, size[1], dtype=torch.float64)
        return torch.stack([torch.complex(ramp, 1 - ramp), torch.complex(1 - ramp, ramp)])[:, None]

    def forward(self, hr: Tensor) -> Tensor:
        k_space = fft_centred(hr * self._sensitivities(hr.shape[2:]), (-2, -1))
        k_space[..., ::2] = 0
        return k_space

    def adjoint(self, lr: Tensor, size: Sequence[int] | None = None) -> Tensor:
        measured = lr.clone()
        measured[..., ::2] = 0
        coils = ifft_centred(measured, (-2, -1)) * self._sensitivities(lr.shape[2:]).conj()
        return coils.sum(1, keepdim=True)

    def upsample(self, lr: Tensor, method: str = "cubic", size: Sequence[int] | None = None) -> Tensor:
        return self.adjoint(lr, size)
