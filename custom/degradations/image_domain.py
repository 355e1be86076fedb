"""The degradations in the image domain: averages, blurs, decimation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from custom.degradations.arguments import checked_scale_factor, checked_sigma
from custom.degradations.grid import Grid
from custom.degradations.kernels import gaussian_weights, keys_cubic
from custom.degradations.stencil import Stencil, StencilDegradation
from custom.errors import UsageError

__all__ = ["AreaMean", "BicubicGaussian", "Bilinear", "GaussianBlur", "GaussianDecimation", "GaussianProfile"]


class AreaMean(StencilDegradation):
    """Take the mean of blocks of `scale_factor` voxels, from voxel 0 on: thick voxels of a box profile.

    Pixel-centre grid. The degradation of the brain ESPCN.

    Args:
        scale_factor: one whole number, or one for each axis.
        spatial_dims: 2 or 3; needed with one number.

    Raises:
        UsageError: not whole numbers of at least 1, or not 2 or 3 axes.
    """

    def __init__(self, scale_factor: int | Sequence[int], spatial_dims: int | None = None) -> None:
        scale = checked_scale_factor(scale_factor, spatial_dims)
        super().__init__(Grid.pixel_centre(scale), tuple(Stencil(0, np.full(s, 1.0 / s)) for s in scale))


class Bilinear(StencilDegradation):
    """Interpolate linearly at the new voxel centres without anti-aliasing: the shrinking of the k-space original.

    Pixel-centre grid. At an even scale it takes the mean of the two central voxels of each block and axis (at 2 this is
    the block mean), at an odd one the central voxel. So it aliases, more at 4 than at 2.

    Source: the k-space super-resolution original shrinks with scikit-image `resize`, order 1, before version 0.15.

    Args:
        scale_factor: one whole number, or one for each axis.
        spatial_dims: 2 or 3; needed with one number.

    Raises:
        UsageError: not whole numbers of at least 1, or not 2 or 3 axes.
    """

    def __init__(self, scale_factor: int | Sequence[int], spatial_dims: int | None = None) -> None:
        scale = checked_scale_factor(scale_factor, spatial_dims)
        taps = tuple(Stencil((s - 1) // 2, np.full(2 - s % 2, 1.0 / (2 - s % 2))) for s in scale)
        super().__init__(Grid.pixel_centre(scale), taps)


class GaussianBlur(StencilDegradation):
    """Blur with a Gaussian and keep the grid: same size, scale 1. The degradation of the knee EDSR.

    Cut at 4 sigma; symmetric borders (scipy's "reflect").

    Args:
        sigma: standard deviation, one number or one for each axis; 0 leaves an axis untouched. In voxels, or in mm
            where there is a spacing.
        spatial_dims: 2 or 3; needed with one number.
        spacing: of the voxels in mm, one for each axis; without it sigma is in voxels.

    Raises:
        UsageError: sigma is negative, not finite, or not for 2 or 3 axes; a spacing that is not above 0 along each.
    """

    def __init__(
        self,
        sigma: float | Sequence[float],
        spatial_dims: int | None = None,
        spacing: Sequence[float] | None = None,
    ) -> None:
        ones = (1,) * len(sigma) if isinstance(sigma, Sequence) else 1
        scale = checked_scale_factor(ones, spatial_dims)
        sigmas = checked_sigma(sigma, len(scale))
        if spacing is not None:
            if len(spacing) != len(scale) or not all(0 < s < np.inf for s in spacing):
                raise UsageError(f"spacing={spacing!r}: give the size of the voxels in mm along {len(scale)} axes")
            sigmas = tuple(sigma / mm for sigma, mm in zip(sigmas, spacing, strict=True))
        super().__init__(Grid.pixel_centre(scale), tuple(_centred(gaussian_weights(s)) for s in sigmas))
        self.sigma = sigmas

    def extra_repr(self) -> str:
        """Show sigma, in voxels, beside the grid."""
        return f"sigma={self.sigma}, {super().extra_repr()}"


class GaussianDecimation(StencilDegradation):
    """Blur with a Gaussian on the high-resolution grid, then keep voxels 0, s, 2s, ...

    The degradation of the 3D SRGAN. Corner grid: offset 0. Cut at 4 sigma; symmetric borders (scipy's "reflect").

    Args:
        scale_factor: one whole number, or one for each axis.
        spatial_dims: 2 or 3; needed with one number.
        sigma: standard deviation in high-resolution voxels; one number for the axes of scale > 1, or one for each axis.

    Raises:
        UsageError: not whole numbers of at least 1, or not 2 or 3 axes; sigma negative, not finite or not one per axis.
    """

    def __init__(
        self, scale_factor: int | Sequence[int], spatial_dims: int | None = None, sigma: float | Sequence[float] = 1.0
    ) -> None:
        scale = checked_scale_factor(scale_factor, spatial_dims)
        sigmas = _sigma_of_scaled_axes(sigma, scale)
        super().__init__(Grid(scale, (0.0,) * len(scale)), tuple(_centred(gaussian_weights(s)) for s in sigmas))
        self.sigma = sigmas

    def extra_repr(self) -> str:
        """Show sigma beside the grid."""
        return f"sigma={self.sigma}, {super().extra_repr()}"


class GaussianProfile(StencilDegradation):
    """Weigh the voxels around each low-resolution voxel with a Gaussian, or with a box that a Gaussian has rounded.

    Pixel-centre grid. With a box it is a slice profile as selective pulses make it. Weights are taken at the voxel
    centres, cut 4 sigma beyond the box, and divided by their sum; symmetric borders.

    Args:
        scale_factor: one whole number, or one for each axis.
        spatial_dims: 2 or 3; needed with one number.
        sigma: standard deviation of the Gaussian in low-resolution voxels, above 0. A full width at half maximum of one
            low-resolution voxel is 0.425.
        box: width of the box in low-resolution voxels; 0 for the Gaussian alone.

    Raises:
        UsageError: not whole numbers of at least 1, or not 2 or 3 axes; sigma not above 0; a negative box.
    """

    def __init__(
        self, scale_factor: int | Sequence[int], spatial_dims: int | None = None, sigma: float = 0.425, box: float = 0.0
    ) -> None:
        if not (0 < sigma < np.inf and 0 <= box < np.inf):
            raise UsageError(f"sigma={sigma!r}, box={box!r}: give a sigma above 0 and a box of 0 or more")
        scale = checked_scale_factor(scale_factor, spatial_dims)
        super().__init__(Grid.pixel_centre(scale), tuple(_profile(s, sigma * s, box * s) for s in scale))
        self.sigma = sigma
        self.box = box

    def extra_repr(self) -> str:
        """Show sigma and the box beside the grid."""
        return f"sigma={self.sigma}, box={self.box}, {super().extra_repr()}"


class BicubicGaussian(StencilDegradation):
    """Shrink bicubically and blur with a Gaussian: the degradation of the cardiac SRResNet.

    Pixel-centre grid. The cubic kernel (Keys, a = -0.5) is widened by the scale, so that it does not alias (as MATLAB's
    `imresize` and PIL do); its weights are divided by their sum. Gaussian cut at 4 sigma; symmetric borders.

    Args:
        scale_factor: one whole number, or one for each axis.
        spatial_dims: 2 or 3; needed with one number.
        sigma: standard deviation in voxels of `sigma_grid`; one number for the axes of scale > 1, or one for each axis;
            0 for bicubic shrinking alone.
        sigma_grid: "lr": shrink, then blur on the low-resolution grid; "hr": blur before, on the high-resolution grid.

    Raises:
        UsageError: not whole numbers of at least 1, or not 2 or 3 axes; sigma negative, not finite or not one per
            axis; an unknown `sigma_grid`.
    """

    def __init__(
        self,
        scale_factor: int | Sequence[int],
        spatial_dims: int | None = None,
        sigma: float | Sequence[float] = 1.0,
        sigma_grid: Literal["lr", "hr"] = "lr",
    ) -> None:
        if sigma_grid not in ("lr", "hr"):
            raise UsageError(f"sigma_grid={sigma_grid!r}: give 'lr' (blur after shrinking) or 'hr' (blur before)")
        scale = checked_scale_factor(scale_factor, spatial_dims)
        sigmas = _sigma_of_scaled_axes(sigma, scale)
        stencils = []
        for s, axis_sigma in zip(scale, sigmas, strict=True):
            # Both steps are even and the grid is symmetric, so they keep mirrored borders and join to one stencil.
            step = s if sigma_grid == "lr" else 1
            gaussian = gaussian_weights(axis_sigma)
            spread = np.zeros(step * (len(gaussian) - 1) + 1)
            spread[::step] = gaussian
            cubic = _bicubic_stencil(s)
            stencils.append(Stencil(cubic.first - len(spread) // 2, np.convolve(cubic.weights, spread)))
        super().__init__(Grid.pixel_centre(scale), tuple(stencils))
        self.sigma = sigmas
        self.sigma_grid = sigma_grid

    def extra_repr(self) -> str:
        """Show sigma and its grid beside the grid."""
        return f"sigma={self.sigma}, sigma_grid={self.sigma_grid!r}, {super().extra_repr()}"


def _centred(weights: NDArray[np.float64]) -> Stencil:
    return Stencil(-(len(weights) // 2), weights)


def _profile(scale: int, sigma: float, box: float) -> Stencil:
    """Give the stencil of a box convolved with a Gaussian, both in high-resolution voxels; none for a scale of 1."""
    if scale == 1:
        return Stencil(0, np.ones(1))
    centre = (scale - 1) / 2
    reach = 4.0 * sigma + box / 2
    voxels = np.arange(math.ceil(centre - reach), math.floor(centre + reach) + 1)
    distance = voxels - centre
    if box > 0:
        weights = ndtr((distance + box / 2) / sigma) - ndtr((distance - box / 2) / sigma)
    else:
        weights = np.exp(-0.5 * (distance / sigma) ** 2)
    return Stencil(int(voxels[0]), weights / weights.sum())


def _bicubic_stencil(scale: int) -> Stencil:
    reach = 2 * scale
    voxels = np.arange(-reach, reach + scale)
    weights = keys_cubic((voxels - (scale - 1) / 2) / scale)
    used = np.flatnonzero(weights)
    weights = weights[used[0] : used[-1] + 1]
    return Stencil(int(voxels[used[0]]), weights / weights.sum())


def _sigma_of_scaled_axes(sigma: float | Sequence[float], scale: tuple[int, ...]) -> tuple[float, ...]:
    """Spread one number over the axes that shrink; leave what was given for each axis."""
    per_axis = checked_sigma(sigma, len(scale))
    if isinstance(sigma, Sequence):
        return per_axis
    return tuple(value if s > 1 else 0.0 for value, s in zip(per_axis, scale, strict=True))
