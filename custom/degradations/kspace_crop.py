"""The degradation of a scanner that samples less of k-space."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from custom.degradations.arguments import checked_scale_factor
from custom.degradations.grid import Grid
from custom.degradations.separable import SeparableDegradation, continued, weighed_frequencies
from custom.errors import UsageError
from custom.kspace import fourier_resample, frequency_window

__all__ = ["KSpaceCrop"]

_AXES = ("i", "j", "k")


class KSpaceCrop(SeparableDegradation):
    """Keep the central 1/s of k-space along each axis: what a scanner with a coarser matrix measures, without noise.

    The image is periodic, or mirrored at its borders. Intensities are kept (the mean is exact). By a phase ramp the
    low-resolution voxels lie on the pixel-centre grid; without it (`pixel_centre_grid=False`, the plain crop) voxel 0
    lies on voxel 0 for every size (offset 0), which is where a crop leaves the voxels with the image origin at voxel 0.

    A low-resolution axis of even size m has one Nyquist line, k-space two (`+m/2` and `-m/2`): their mean is taken.
    Real images so stay real (it is the real part of the crop), and complex ones are treated alike.

    With partial Fourier the scanner leaves out lines at one end of k-space and takes them for 0, without homodyne
    reconstruction or POCS. What was symmetric in k-space is no longer, so this turns real images to complex ones: it is
    for complex images, of whose result the magnitude is stored (see `needs_complex_images`). The object's phase decides
    how much is lost.

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
        partial_fourier: the part of the lines along `phase_encoding` that is measured, above 0.5, at most 1 (all);
            those of the most negative frequencies are left out. Scanners have 5/8 to 7/8.
        phase_encoding: the array axis of partial Fourier, "i", "j" or "k" (as BIDS calls them).

    Raises:
        UsageError: not whole numbers of at least 1, or not 2 or 3 axes; an unknown window, a strength outside 0 to 1,
            a zero filling below 1, a part outside 0.5 to 1, or an axis that is not there or not degraded.

    Source: G. McGibney, M. R. Smith, S. T. Nichols and A. Crawley, "Quantitative evaluation of several partial Fourier
    reconstruction algorithms used in MRI", Magnetic Resonance in Medicine 30, 1993: zero filling is the first of them.
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
        partial_fourier: float = 1.0,
        phase_encoding: str = "i",
    ) -> None:
        scale = checked_scale_factor(scale_factor, spatial_dims)
        grid = Grid.pixel_centre(scale) if pixel_centre_grid else Grid(scale, (0.0,) * len(scale))
        super().__init__(grid, border=None)
        if zero_filling < 1:
            raise UsageError(f"zero_filling is {zero_filling}; give 1 (none) or more")
        frequency_window(torch.zeros(1), window, window_strength)  # checks both
        if not 0.5 < partial_fourier <= 1:
            raise UsageError(f"partial_fourier is {partial_fourier}; give a number above 0.5, or 1 (all lines)")
        if phase_encoding not in _AXES[: len(scale)]:
            raise UsageError(f"phase_encoding is {phase_encoding!r}; give one of {', '.join(_AXES[: len(scale)])}")
        self.needs_complex_images = partial_fourier < 1
        if self.needs_complex_images and scale[_AXES.index(phase_encoding)] == 1:
            raise UsageError(f"phase_encoding is {phase_encoding!r}, an axis of scale 1, which is not degraded")
        self.window = window
        self.window_strength = window_strength
        self.zero_filling = zero_filling
        self.mirrored = mirrored
        self.partial_fourier = partial_fourier
        self.phase_encoding = phase_encoding

    def extra_repr(self) -> str:
        """Show the window, the zero filling and partial Fourier beside the grid."""
        own = f"window={self.window!r}, window_strength={self.window_strength}, zero_filling={self.zero_filling}"
        if self.needs_complex_images:
            own += f", partial_fourier={self.partial_fourier}, phase_encoding={self.phase_encoding!r}"
        return f"{own}, mirrored={self.mirrored}, {super().extra_repr()}"

    def noise_matrix(self, axis: int, size: int) -> Tensor | None:
        """Build the matrix `(size, size)` that acts on noise along a low-resolution axis.

        It is that of window, zero filling and partial Fourier.
        """
        if not self._has_filter(axis):
            return None
        return self._filtered(continued(size, self.mirrored), axis)[:size]

    def _axis_matrix(self, axis: int, size: int) -> Tensor:
        scale = self.scale_factor[axis]
        low = _cropping_matrix(size, scale, self.grid.offset[axis], self.mirrored)
        return (self._filtered(low, axis) if self._has_filter(axis) else low)[: size // scale]

    def _zero_filling_matrix(self, axis: int, size: int) -> Tensor:
        if self.mirrored:
            return super()._zero_filling_matrix(axis, size)
        eye = torch.eye(size, dtype=torch.float64)
        scale = self.scale_factor[axis]
        return fourier_resample(eye, scale * size, 0, -self.grid.offset[axis] / scale)

    def _has_filter(self, axis: int) -> bool:
        """Say whether something acts on k-space; an axis that is not degraded keeps all of it."""
        filters = self.window != "none" or self.zero_filling > 1 or self._is_partial(axis)
        return self.scale_factor[axis] > 1 and filters

    def _is_partial(self, axis: int) -> bool:
        return self.needs_complex_images and _AXES[axis] == self.phase_encoding

    def _filtered(self, image: Tensor, axis: int) -> Tensor:
        """Lay the window over the k-space of the columns of a real matrix, and leave out what is not measured."""
        size = len(image)
        frequency = (torch.arange(size, dtype=torch.float64) - size // 2) * (2.0 * self.zero_filling / size)
        weights = frequency_window(frequency, self.window, self.window_strength)
        if self._is_partial(axis):  # measured from this frequency to 1; a rounding error must not cut off a line
            weights = torch.where(frequency >= 1 - 2 * self.partial_fourier - 1e-6, weights, 0.0)
        filtered = weighed_frequencies(image, weights)
        return filtered if self._is_partial(axis) else filtered.real


@lru_cache(maxsize=8)
def _cropping_matrix(size: int, scale: int, offset: float, mirrored: bool) -> Tensor:
    """Build the matrix of the crop alone, of which families draw many with different windows; not to be changed."""
    image = continued(size, mirrored)
    return fourier_resample(image, len(image) // scale, 0, offset)
