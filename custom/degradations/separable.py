"""Degradations that are one matrix for each axis."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from custom.degradations.base import Degradation
from custom.degradations.grid import Grid
from custom.degradations.pseudo_inverse import PseudoInverse, computing_dtype, matching
from custom.degradations.upsampling import UPSAMPLING_METHODS, interpolation_matrix
from custom.errors import UsageError
from custom.kspace import fft_centred, fourier_resample, ifft_centred

__all__ = ["SeparableDegradation", "continued", "weighed_frequencies"]

_CACHED_MATRICES = 64
# Relative to the largest: what is weaker is amplified more than twentyfold by the pseudo-inverse, noise too.
_SMALLEST_SINGULAR_VALUE = 0.05


class SeparableDegradation(Degradation):
    """A degradation with a matrix for each axis: `y = (A_0 x A_1 x ...) x`; a subclass builds the matrices.

    Any batch, channels, device and floating or complex type; each channel by itself; linear and differentiable;
    computed in float32 (float64 for float64) under autocast too, and returned in the type of the input. Along an axis
    that the scale does not divide, the image is first continued at its end with its last voxel to `s * ceil(n / s)`,
    so that the grid stays where it is. An axis on which nothing is to be done is left untouched, bit for bit (where
    that is all of them, the input itself comes back).

    Memory: a dense matrix of `n * n / s` for each axis and size, kept for the next call. Work: `n / s`
    multiply-adds a voxel and axis, as a matrix product. (Where `torch.backends.cuda.matmul.allow_tf32` is on, CUDA
    rounds the factors to 10 bits.)

    Attributes:
        needs_complex_images: whether a matrix is complex. An image then has to be complex too, as its result is: what
            a scanner stores is the magnitude of that.
    """

    needs_complex_images: bool = False

    def __init__(self, grid: Grid, border: tuple[int, ...] | None) -> None:
        super().__init__(grid, border)
        self._matrices: dict[tuple[Any, ...], Tensor] = {}

    @abstractmethod
    def _axis_matrix(self, axis: int, size: int) -> Tensor:
        """Build the matrix `(size / s, size)` of one axis, float64 or complex128; the size is a multiple of s."""

    def axis_matrix(self, axis: int, size: int) -> Tensor:
        """Build the matrix `(ceil(size / s), size)` of one axis, float64 or complex128, for an image of any size.

        An image that the scale does not divide is continued with its last voxel, so the columns of the voxels beyond
        its end are added to the last one.
        """
        scale = self.scale_factor[axis]
        matrix = self._axis_matrix(axis, scale * -(-size // scale))
        return torch.cat([matrix[:, : size - 1], matrix[:, size - 1 :].sum(1, keepdim=True)], dim=1)

    def noise_matrix(self, axis: int, size: int) -> Tensor | None:
        """Build the matrix `(size, size)` that acts on noise along a low-resolution axis, or None if it stays white."""
        return None

    def _is_identity(self, axis: int) -> bool:
        """Say whether nothing at all is done along an axis."""
        return self.scale_factor[axis] == 1

    def _zero_filling_matrix(self, axis: int, size: int) -> Tensor:
        """Build the matrix `(s * size, size)` of zero filling; the image is mirrored at its borders.

        The image followed by its mirror image is periodic and continuous, so its edges do not ring.
        """
        scale, offset = self.scale_factor[axis], self.grid.offset[axis]
        return fourier_resample(continued(size, mirrored=True), 2 * scale * size, 0, -offset / scale)[: scale * size]

    def forward(self, hr: Tensor) -> Tensor:
        """Apply the matrices; see `Degradation.forward`."""
        sizes = self._spatial_shape(hr)
        return self._apply_axes(hr, self._degrading_matrices(sizes, hr))

    def adjoint(self, lr: Tensor, size: Sequence[int] | None = None) -> Tensor:
        """Apply the transposed (and conjugated) matrices; see `Degradation.adjoint`."""
        sizes = self.grid.shape_hr(self._spatial_shape(lr), size)
        matrices = self._degrading_matrices(sizes, lr)
        return self._apply_axes(lr, [None if m is None else m.mH for m in matrices])

    def upsample(self, lr: Tensor, method: str = "cubic", size: Sequence[int] | None = None) -> Tensor:
        """Interpolate along each axis; see `Degradation.upsample`.

        "zero_filled" takes the image as periodic after a k-space crop (degrading the result then gives the input back,
        but for half of its Nyquist line), and as mirrored at its borders after the other degradations, so that its
        edges do not ring.
        """
        sizes = self.grid.shape_hr(self._spatial_shape(lr), size)
        if method not in UPSAMPLING_METHODS:
            raise UsageError(f"{type(self).__name__}: method={method!r}; give one of {UPSAMPLING_METHODS}")
        matrices = [
            None if s == 1 else self._matrix(f"up {method}", partial(self._upsampling_matrix, method), a, n, lr)
            for a, (s, n) in enumerate(zip(self.scale_factor, lr.shape[2:], strict=True))
        ]
        hr = self._apply_axes(lr, matrices)
        for axis, n in enumerate(sizes):
            hr = hr.narrow(axis + 2, 0, n)
        return hr

    def pseudo_inverse(self, size: Sequence[int]) -> PseudoInverse:
        """Make the pseudo-inverse; components that are weakened to below 5 % of the strongest are left out."""
        return PseudoInverse(
            [self.axis_matrix(axis, n) for axis, n in enumerate(size)], self._apply_axes, _SMALLEST_SINGULAR_VALUE
        )

    def extra_repr(self) -> str:
        """Show the scale and the offset of the grid."""
        return f"scale_factor={self.scale_factor}, offset={self.grid.offset}, border={self.border}"

    def __getstate__(self) -> dict[str, Any]:
        # Copies and checkpoints of whole objects need not carry what is quickly built again.
        return {**self.__dict__, "_matrices": {}}

    def _spatial_shape(self, x: Tensor) -> tuple[int, ...]:
        self.grid_for(x.ndim - 2)
        if not (x.is_floating_point() or x.is_complex()):
            raise TypeError(
                f"{type(self).__name__}: received {x.dtype}; give a floating or complex tensor, as by .float()"
            )
        return tuple(x.shape[2:])

    def _degrading_matrices(self, sizes: Sequence[int], like: Tensor) -> list[Tensor | None]:
        if self.needs_complex_images and not like.is_complex():
            raise UsageError(
                f"{self} makes complex images, so it takes complex ones only (an image with a phase), and what a "
                "scanner stores is the magnitude of the result; the random family does so, but it cannot be the "
                "degradation of a bundle"
            )
        return [
            None if self._is_identity(a) else self._matrix("degrade", self.axis_matrix, a, n, like)
            for a, n in enumerate(sizes)
        ]

    def _upsampling_matrix(self, method: str, axis: int, size: int) -> Tensor:
        if method == "zero_filled":
            return self._zero_filling_matrix(axis, size)
        return torch.from_numpy(interpolation_matrix(self.scale_factor[axis], self.grid.offset[axis], method, size))

    def _matrix(self, what: str, build: Callable[[int, int], Tensor], axis: int, size: int, like: Tensor) -> Tensor:
        """Find or build a matrix, in the type that an image is computed in and on its device."""
        key = (what, axis, size, computing_dtype(like), like.device)
        matrix = self._matrices.get(key)
        if matrix is None:
            if len(self._matrices) >= _CACHED_MATRICES:
                self._matrices.clear()
            # A tensor that was made in inference mode could not serve a later training step.
            with torch.inference_mode(False), torch.no_grad():
                matrix = matching(build(axis, size), like)
            self._matrices[key] = matrix
        return matrix

    def _apply_axes(self, x: Tensor, matrices: Sequence[Tensor | None]) -> Tensor:
        """Apply a matrix along each spatial axis, in its type, whatever autocast says."""
        y = x.as_subclass(Tensor)
        # To real matrices the parts of a complex image are two images.
        in_parts = x.is_complex() and not any(matrix is not None and matrix.is_complex() for matrix in matrices)
        with torch.autocast(x.device.type, enabled=False):
            if in_parts:
                y = torch.view_as_real(y.resolve_conj()).movedim(-1, 0)
            for axis, matrix in enumerate(matrices):
                if matrix is not None:
                    dtype = torch.promote_types(y.dtype, matrix.dtype)
                    y = _apply_along(y.to(dtype), matrix.to(dtype), y.ndim - self.spatial_dims + axis)
            if in_parts:
                y = torch.view_as_complex(y.movedim(0, -1).contiguous())
        return y.to(x.dtype)


def continued(size: int, mirrored: bool) -> Tensor:
    """Give the unit vectors of an axis, float64, followed by their mirror images where the image is mirrored."""
    eye = torch.eye(size, dtype=torch.float64)
    return torch.cat([eye, eye.flip(0)]) if mirrored else eye


def weighed_frequencies(matrix: Tensor, weights: Tensor) -> Tensor:
    """Weigh the k-space of the columns of a matrix `(n, m)` by `(n,)`, frequency 0 in the middle; complex."""
    return ifft_centred(fft_centred(matrix, [0]) * weights[:, None], [0])


def _apply_along(x: Tensor, matrix: Tensor, axis: int) -> Tensor:
    shape = x.shape
    if axis == x.ndim - 1:
        return x @ matrix.T
    y = torch.matmul(matrix, x.reshape(shape[:axis].numel(), shape[axis], -1))
    return y.reshape(*shape[:axis], matrix.shape[0], *shape[axis + 1 :])
