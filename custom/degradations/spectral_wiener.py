"""The Wiener filter of a blur that keeps the grid: one factor for each spatial frequency."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dct, dctn, idctn
from torch import Tensor, nn

from custom.degradations.separable import SeparableDegradation
from custom.degradations.wiener import LEAST_NOISE
from custom.errors import UsageError

__all__ = ["SpectralWiener", "power_spectrum"]

# Of the frequency in cycles a voxel, from 0 to the corner of the Nyquist cube.
_BINS = 180


def power_spectrum(images: Iterable[Tensor]) -> Tensor:
    """Measure the mean power of images at each spatial frequency, whatever its direction.

    The images are mirrored at their borders, so that their edges do not count: the frequencies are those of the cosine
    transform.

    Args:
        images: `(B, C, *spatial)`, high resolution, data range 1.

    Returns:
        `(180,)`, float64: the mean square of the coefficients of the orthonormal transform in rings of equal width, up
        to `sqrt(axes) / 2` cycles a voxel.

    Raises:
        UsageError: for no images.
    """
    power, count = np.zeros(_BINS), np.zeros(_BINS)
    for batch in images:
        for image in batch.flatten(0, 1).double().cpu().numpy():
            ring = _rings(image.shape)
            power += np.bincount(ring.ravel(), dctn(image, norm="ortho").ravel() ** 2, _BINS)
            count += np.bincount(ring.ravel(), minlength=_BINS)
    if not count.any():
        raise UsageError("there are no images to fit a Wiener filter to")
    return torch.from_numpy(power / np.maximum(count, 1))


class SpectralWiener(nn.Module):
    """Undo a blur by the linear filter with the smallest mean squared error for images of a known power spectrum.

    With H the factor by which the blur weakens a spatial frequency, S the power of sharp images there, and v the
    variance of white noise, the filter is `H S / (H^2 S + v)`. The image is mirrored at its borders, as the blurs of
    this package do it, for which the cosine transform is then exact. Of an unknown image the filter needs nothing but
    the noise; of the blur it knows everything, which one seldom does of a scan.

    `(B, C, *spatial)` to the same shape, float32, on any device (computed on the CPU in float64); nothing is trained.

    Args:
        spectrum: as `power_spectrum` returns it.
        degradation: with scale 1 along all axes.
        noise: standard deviation of the noise in the blurred image, data range 1, above 0.

    Raises:
        UsageError: for a degradation of another scale, or when the noise is not above 0.

    Source: N. Wiener, "Extrapolation, Interpolation, and Smoothing of Stationary Time Series", 1949; mirrored images
    by the cosine transform: Ng, Chan and Tang 1999, "A Fast Algorithm for Deblurring Models with Neumann Boundary
    Conditions".
    """

    def __init__(self, spectrum: Tensor, degradation: SeparableDegradation, noise: float = LEAST_NOISE) -> None:
        super().__init__()
        if not degradation.keeps_grid:
            raise UsageError(f"the degradation has scale {degradation.scale_factor}; this Wiener filter keeps the grid")
        if not noise > 0:
            raise UsageError(f"noise of the Wiener filter is {noise}; give a number above 0")
        self.spectrum = spectrum.numpy()
        self.degradation = degradation
        self.noise = noise

    @torch.no_grad()
    def forward(self, blurred: Tensor) -> Tensor:
        """Sharpen `(B, C, *spatial)`."""
        gains = self._gains(tuple(blurred.shape[2:]))
        images = blurred.as_subclass(Tensor).flatten(0, 1).double().cpu().numpy()
        sharpened = np.stack([idctn(gains * dctn(image, norm="ortho"), norm="ortho") for image in images])
        return torch.from_numpy(sharpened).float().reshape(blurred.shape).to(blurred.device)

    def _gains(self, sizes: Sequence[int]) -> NDArray[np.float64]:
        responses = [_response(self.degradation.axis_matrix(axis, n).numpy()) for axis, n in enumerate(sizes)]
        response = reduce(lambda one, two: one[..., None] * two, responses)
        # Between the rings; where the training images had no power there is nothing to be found.
        place = _frequency(sizes) / _width(len(sizes)) - 0.5
        power = np.interp(place, np.arange(_BINS), self.spectrum)
        gains: NDArray[np.float64] = response * power / (response**2 * power + self.noise**2)
        # A flat image stays as it is.
        gains[(0,) * len(sizes)] = 1 / response[(0,) * len(sizes)]
        return gains


def _response(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the factor of each frequency: the diagonal of the matrix in the basis of the cosine transform."""
    basis = dct(np.eye(len(matrix)), axis=0, norm="ortho")
    return np.einsum("ij,jk,ik->i", basis, matrix, basis, optimize=True)


def _frequency(sizes: Sequence[int]) -> NDArray[np.float64]:
    """Give the length of the frequency of each coefficient in cycles a voxel."""
    squares = [(np.arange(n) / (2 * n)) ** 2 for n in sizes]
    return np.sqrt(reduce(lambda one, two: one[..., None] + two, squares))


def _width(axes: int) -> float:
    """Give the width of a ring in cycles a voxel."""
    return 0.5 * axes**0.5 / _BINS


def _rings(sizes: Sequence[int]) -> NDArray[np.intp]:
    return np.minimum(_frequency(sizes) / _width(len(sizes)), _BINS - 1).astype(np.intp)
