"""The degradation of a scanner that samples less of k-space."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from custom.degradations.arguments import checked_scale_factor
from custom.degradations.grid import Grid
from custom.degradations.separable import SeparableDegradation
from custom.kspace import fourier_resample

__all__ = ["KSpaceCrop"]


class KSpaceCrop(SeparableDegradation):
    """Keep the central 1/s of k-space along each axis: what a scanner with a coarser matrix measures, without noise.

    The image is periodic. Intensities are kept (the mean is exact). By a phase ramp the low-resolution voxels lie on
    the pixel-centre grid; without it (`pixel_centre_grid=False`, the plain crop) voxel 0 lies on voxel 0 for every size
    (offset 0), which is where a crop leaves the voxels with the image origin at voxel 0.

    A low-resolution axis of even size m has one Nyquist line, k-space two (`+m/2` and `-m/2`): their mean is taken.
    Real images so stay real (it is the real part of the crop), and complex ones are treated alike.

    Args:
        scale_factor: one whole number, or one for each axis.
        spatial_dims: 2 or 3; needed with one number.
        pixel_centre_grid: whether the grid is that of the area mean (offset `(s - 1) / 2`) or starts at voxel 0.

    Raises:
        UsageError: not whole numbers of at least 1, or not 2 or 3 axes.
    """

    def __init__(
        self, scale_factor: int | Sequence[int], spatial_dims: int | None = None, pixel_centre_grid: bool = True
    ) -> None:
        scale = checked_scale_factor(scale_factor, spatial_dims)
        grid = Grid.pixel_centre(scale) if pixel_centre_grid else Grid(scale, (0.0,) * len(scale))
        super().__init__(grid, border=None)

    def _axis_matrix(self, axis: int, size: int) -> Tensor:
        eye = torch.eye(size, dtype=torch.float64)
        return fourier_resample(eye, size // self.scale_factor[axis], 0, self.grid.offset[axis])

    def _zero_filling_matrix(self, axis: int, size: int) -> Tensor:
        eye = torch.eye(size, dtype=torch.float64)
        scale = self.scale_factor[axis]
        return fourier_resample(eye, scale * size, 0, -self.grid.offset[axis] / scale)
