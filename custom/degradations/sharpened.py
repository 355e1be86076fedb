"""The sharpening that scanners and viewers apply to an image before it is stored."""

from __future__ import annotations

from torch import Tensor

from custom.degradations.kernels import gaussian_weights
from custom.degradations.separable import SeparableDegradation
from custom.degradations.stencil import Stencil
from custom.errors import UsageError

__all__ = ["Sharpened"]


class Sharpened(SeparableDegradation):
    """Sharpen what another degradation makes: unsharp masking on the low-resolution grid, along each axis.

    `y = x + amount * (x - g * x)` with a Gaussian g; symmetric borders; the mean of a constant is kept. Edges
    overshoot, and where the image is dark beside something bright it becomes negative.

    Args:
        degradation: what is sharpened.
        amount: 0 (nothing) or more; vendors' filters are of about 0.2 to 1.
        sigma: of the Gaussian, in low-resolution voxels.

    Raises:
        UsageError: for a negative amount or a sigma that is not above 0.
    """

    def __init__(self, degradation: SeparableDegradation, amount: float = 0.5, sigma: float = 1.0) -> None:
        if amount < 0 or sigma <= 0:
            raise UsageError(
                f"Sharpened: amount={amount}, sigma={sigma}; give an amount of 0 or more and a sigma above 0"
            )
        gaussian = gaussian_weights(sigma)
        reach = len(gaussian) // 2
        border = degradation.border
        if border is not None:
            border = tuple(b + reach * s if s > 1 else b for b, s in zip(border, degradation.scale_factor, strict=True))
        super().__init__(degradation.grid, border)
        self.needs_complex_images = degradation.needs_complex_images
        self.degradation = degradation
        self.amount = amount
        self.sigma = sigma
        weights = -amount * gaussian
        weights[reach] += 1.0 + amount
        self._stencil = Stencil(-reach, weights)

    def extra_repr(self) -> str:
        """Show the sharpening beside the grid."""
        return f"amount={self.amount}, sigma={self.sigma}, {super().extra_repr()}"

    def noise_matrix(self, axis: int, size: int) -> Tensor | None:
        """Build the matrix `(size, size)` that acts on noise of a low-resolution axis: sharpening amplifies it."""
        inner = self.degradation.noise_matrix(axis, size)
        if self.scale_factor[axis] == 1:
            return inner
        own = self._stencil.matrix(1, size)
        return own if inner is None else own.to(inner.dtype) @ inner

    def _is_identity(self, axis: int) -> bool:
        return self.scale_factor[axis] == 1 and self.degradation._is_identity(axis)

    def _axis_matrix(self, axis: int, size: int) -> Tensor:
        matrix = self.degradation.axis_matrix(axis, size)
        if self.scale_factor[axis] == 1:
            return matrix
        return self._stencil.matrix(1, len(matrix)).to(matrix.dtype) @ matrix

    def _zero_filling_matrix(self, axis: int, size: int) -> Tensor:
        return self.degradation._zero_filling_matrix(axis, size)
