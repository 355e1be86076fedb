"""The pseudo-inverse of a separable degradation, and its form for images with noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import torch
from torch import Tensor

__all__ = ["PseudoInverse", "computing_dtype", "matching"]


class PseudoInverse:
    r"""Find the smallest high-resolution image that a degradation turns into a given low-resolution one.

    A degradation with a matrix for each axis is `A = A_0 x A_1 x ...` (Kronecker), so `A A^T` has the products of the
    eigenvectors of `A_0 A_0^T`, `A_1 A_1^T`, ... as eigenvectors, and the products of their eigenvalues, which are the
    squared singular values of A, as eigenvalues. The pseudo-inverse is `A^T (A A^T)^-1`. With a weight it is
    `A^T (A A^T + weight I)^-1`: for an unknown x of white Gaussian power p, and `y = A x + n` with white Gaussian noise
    of variance v, this is the x that is the most probable, with `weight = v / p`.

    To divide by a small singular value would amplify rounding and noise without bound: components that the degradation
    weakens below a part of the strongest one are left out, and the result has nothing of them.

    Matrices may be complex; for `A^T` read the conjugate transpose.

    Complex images, and any batch and channels; computed in the precision of the image (float32 at least). Memory: two
    matrices of the low-resolution size for each axis.

    Args:
        matrices: A_a of each axis, `(m, n)`, float64 or complex128.
        apply: applies a matrix along each spatial axis of `(B, C, *spatial)`.
        smallest: components with a smaller singular value than this part of the largest are left out.

    Attributes:
        kept: which components are not left out, bool `(m_0, m_1, ...)`.

    Source: the normal equations of linear least squares, solved as for Kronecker products in C. Van Loan, "The
    ubiquitous Kronecker product", Journal of Computational and Applied Mathematics 123, 2000.
    """

    def __init__(
        self,
        matrices: Sequence[Tensor],
        apply: Callable[[Tensor, Sequence[Tensor | None]], Tensor],
        smallest: float,
    ) -> None:
        self._apply = apply
        eigen = [torch.linalg.eigh(matrix @ matrix.mH) for matrix in matrices]
        self._forth = [vectors.mH for _, vectors in eigen]
        self._back = [matrix.mH @ vectors for matrix, (_, vectors) in zip(matrices, eigen, strict=True)]
        self._squares = reduce(lambda one, two: one[..., None] * two, [values.clamp(min=0) for values, _ in eigen])
        self.kept = self._squares.sqrt() >= smallest * float(self._squares.max()) ** 0.5

    def __call__(self, lr: Tensor, weight: float = 0.0) -> Tensor:
        """Apply to `(B, C, *spatial)` of low resolution; returns `(B, C, *spatial)` of high resolution.

        Args:
            lr: of the size that the matrices make.
            weight: of the noise, see above; 0 for the pseudo-inverse, infinite for no image at all.
        """
        forth, back = ([matching(matrix, lr) for matrix in these] for these in (self._forth, self._back))
        gains = matching(torch.where(self.kept, 1 / (self._squares + weight), 0.0), lr)
        return self._apply(self._apply(lr, forth) * gains, back)


def computing_dtype(image: Tensor) -> torch.dtype:
    """Return the real type in which an image is computed: float64 where it has that precision, else float32."""
    return torch.float64 if image.dtype in (torch.float64, torch.complex128) else torch.float32


def matching(matrix: Tensor, image: Tensor) -> Tensor:
    """Bring a matrix to the device and the precision in which an image is computed; a complex one stays complex."""
    dtype = computing_dtype(image)
    return matrix.to(image.device, dtype.to_complex() if matrix.is_complex() else dtype)
