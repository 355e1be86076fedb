"""The degradation of a scanner that samples less of k-space and fills the rest with zeros."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real

import torch
from torch import Tensor

from custom.degradations.arguments import checked_scale_factor
from custom.degradations.grid import Grid
from custom.degradations.separable import SeparableDegradation, continued, weighed_frequencies
from custom.errors import UsageError
from custom.kspace import frequency_window

__all__ = ["KSpaceTruncation"]


class KSpaceTruncation(SeparableDegradation):
    """Keep the centre of k-space along chosen axes and fill the rest with zeros: a faster scan on the same grid.

    The image is continued with its mirror image, so that opposite edges do not ring into each other. Intensities are
    kept (the mean is exact).

    Args:
        fraction: of k-space that is kept, above 0, at most 1: one number, or one for each axis; 1 leaves an axis alone.
        spatial_dims: 2 or 3; needed with one number.
        window: laid over what is kept; see `custom.kspace.frequency_window`.
        window_strength: 0 (no window) to 1.

    Raises:
        UsageError: a fraction that is not above 0 and at most 1, or not one for each of 2 or 3 axes; an unknown window,
            or a strength outside 0 to 1.
    """

    def __init__(
        self,
        fraction: float | Sequence[float],
        spatial_dims: int | None = None,
        window: str = "none",
        window_strength: float = 1.0,
    ) -> None:
        scale = checked_scale_factor((1,) * len(fraction) if isinstance(fraction, Sequence) else 1, spatial_dims)
        fractions = tuple(fraction) if isinstance(fraction, Sequence) else (fraction,) * len(scale)
        if not all(isinstance(f, Real) and math.isfinite(f) and 0 < f <= 1 for f in fractions):
            raise UsageError(f"fraction={fraction!r}: give the part of k-space that is kept, above 0 and at most 1")
        frequency_window(torch.zeros(1), window, window_strength)  # checks both
        super().__init__(Grid.pixel_centre(scale), border=None)
        self.fraction = tuple(float(f) for f in fractions)
        self.window = window
        self.window_strength = window_strength

    def extra_repr(self) -> str:
        """Show what is kept beside the grid."""
        own = f"fraction={self.fraction}, window={self.window!r}, window_strength={self.window_strength}"
        return f"{own}, {super().extra_repr()}"

    def noise_matrix(self, axis: int, size: int) -> Tensor | None:
        """Build the matrix `(size, size)`: what is filled with zeros has no noise."""
        return None if self._is_identity(axis) else self._axis_matrix(axis, size)

    def _is_identity(self, axis: int) -> bool:
        return self.fraction[axis] == 1

    def _axis_matrix(self, axis: int, size: int) -> Tensor:
        frequency = (torch.arange(2 * size, dtype=torch.float64) - size) / (self.fraction[axis] * size)
        weights = frequency_window(frequency, self.window, self.window_strength)
        return weighed_frequencies(continued(size, mirrored=True), weights).real[:size]
