"""The degradation of a scanner that samples less of k-space."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from custom.degradations.arguments import checked_scale_factor
from custom.degradations.grid import Grid
from custom.degradations.separable import SeparableDegradation
from custom.errors import UsageError
from custom.kspace import fft_centred, fourier_resample, frequency_window, ifft_centred

__all__ = ["KSpaceCrop"]


class KSpaceCrop(SeparableDegradation):
    """Keep the central 1/s of k-space along each axis: what a scanner with a coarser matrix measures, without noise.

    The image is periodic, or mirrored at its borders. Intensities are kept (the mean is exact). By a phase ramp the
    low-resolution voxels lie on the pixel-centre grid; without it (`pixel_centre_grid=False`, the plain crop) voxel 0
    lies on voxel 0 for every size (offset 0), which is where a crop leaves the voxels with the image origin at voxel 0.

    A low-resolution axis of even size m has one Nyquist line, k-space two (`+m/2` and `-m/2`): their mean is taken.
    Real images so stay real (it is the real part of the crop), and complex ones are treated alike.

    Args:
        scale_factor: one whole number, or one for each axis.
        spatial_dims: 2 or 3; needed with one number.
        pixel_centre_grid: whether the grid is that of the area mean (offset `(s - 1) / 2`) or starts at voxel 0.
        window: laid over k-space along each axis; see `custom.kspace.frequency_window`.
        window_strength: 0 (no window) to 1.
        zero_filling: how many times finer the scanner stored the image than it measured it, 1 or more: only the central
            `1 / zero_filling` of the low-resolution k-space holds data. Scanners store up to 2 times finer.
        mirrored: continue the image with its mirror image instead of periodically, as for a patch, whose opposite
            edges do not belong together.

    Raises:
        UsageError: not whole numbers of at least 1, or not 2 or 3 axes; an unknown window, a strength outside 0 to 1,
            or a zero filling below 1.
    """

    def __init__(
        self,
        scale_factor: int | Sequence[int],
        spatial_dims: int | None = None,
        pixel_centre_grid: bool = True,
        window: str = "none",
        window_strength: float = 1.0,
        zero_filling: float = 1.0,
        mirrored: bool = False,
    ) -> None:
        scale = checked_scale_factor(scale_factor, spatial_dims)
        grid = Grid.pixel_centre(scale) if pixel_centre_grid else Grid(scale, (0.0,) * len(scale))
        super().__init__(grid, border=None)
        if zero_filling < 1:
            raise UsageError(f"zero_filling is {zero_filling}; give 1 (none) or more")
        frequency_window(torch.zeros(1), window, window_strength)  # checks both
        self.window = window
        self.window_strength = window_strength
        self.zero_filling = zero_filling
        self.mirrored = mirrored

    def extra_repr(self) -> str:
        """Show the window and the zero filling beside the grid."""
        own = f"window={self.window!r}, window_strength={self.window_strength}, zero_filling={self.zero_filling}"
        return f"{own}, mirrored={self.mirrored}, {super().extra_repr()}"

    def noise_matrix(self, axis: int, size: int) -> Tensor | None:
        """Build the matrix `(size, size)` that window and zero filling apply to noise of a low-resolution axis."""
        if not self._has_filter(axis):
            return None
        return self._filtered(_continued(size, self.mirrored))[:size]

    def _axis_matrix(self, axis: int, size: int) -> Tensor:
        scale = self.scale_factor[axis]
        low = _cropping_matrix(size, scale, self.grid.offset[axis], self.mirrored)
        return (self._filtered(low) if self._has_filter(axis) else low)[: size // scale]

    def _zero_filling_matrix(self, axis: int, size: int) -> Tensor:
        if self.mirrored:
            return super()._zero_filling_matrix(axis, size)
        eye = torch.eye(size, dtype=torch.float64)
        scale = self.scale_factor[axis]
        return fourier_resample(eye, scale * size, 0, -self.grid.offset[axis] / scale)

    def _has_filter(self, axis: int) -> bool:
        """Say whether window or zero filling act; an axis that is not degraded keeps all of its k-space."""
        return self.scale_factor[axis] > 1 and (self.window != "none" or self.zero_filling > 1)

    def _filtered(self, image: Tensor) -> Tensor:
        """Lay the window over the k-space of the columns of a real matrix."""
        size = len(image)
        frequency = (torch.arange(size, dtype=torch.float64) - size // 2) * (2.0 * self.zero_filling / size)
        weights = frequency_window(frequency, self.window, self.window_strength)
        return ifft_centred(fft_centred(image, [0]) * weights[:, None], [0]).real


@lru_cache(maxsize=8)
def _cropping_matrix(size: int, scale: int, offset: float, mirrored: bool) -> Tensor:
    """Build the matrix of the crop alone, of which families draw many with different windows; not to be changed."""
    image = _continued(size, mirrored)
    return fourier_resample(image, len(image) // scale, 0, offset)


def _continued(size: int, mirrored: bool) -> Tensor:
    """Give the unit vectors of an axis, followed by their mirror images where the image is mirrored."""
    eye = torch.eye(size, dtype=torch.float64)
    return torch.cat([eye, eye.flip(0)]) if mirrored else eye
