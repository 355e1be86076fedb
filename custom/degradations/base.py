"""What all degradations share: separable linear operators that know their grid, their adjoint and the way back.

Tensors are `(B, C, *spatial)`; the spatial axes are the array axes (i, j) or (i, j, k) of the affine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from custom.degradations.grid import Grid
from custom.degradations.upsampling import UPSAMPLING_METHODS, PolyphaseUpsampler, interpolation_matrix
from custom.errors import InputError
from custom.kspace import fourier_resample

__all__ = ["Degradation"]

_CACHED_MATRICES = 64


class Degradation(nn.Module, ABC):
    """Make a low-resolution image from a high-resolution one: `y = (A_0 x A_1 x ...) x`, one matrix for each axis.

    Any batch, channels, device and floating or complex type; linear and differentiable; computed in float32 (float64
    for float64) under autocast too, and returned in the type of the input. A MetaTensor gives a plain tensor: whoever
    wraps a degradation takes the affine from `grid`. Along an axis that the scale does not divide, the image is
    first continued at its end with its last voxel to `s * ceil(n / s)`, so that the grid stays where it is. An axis on
    which nothing is to be done is left untouched, bit for bit (where that is all of them, the input itself comes back).

    Memory: a dense matrix of `n * n / s` for each axis and size, kept for the next call. Work: `n / s`
    multiply-adds a voxel and axis, as a matrix product. (Where `torch.backends.cuda.matmul.allow_tf32` is on, CUDA
    rounds the factors to 10 bits.)

    Attributes:
        grid: where low-resolution voxels lie in the high-resolution image.
        scale_factor: per spatial axis, the same as `grid.scale`.
        spatial_dims: 2 or 3.
        border: per spatial axis, how many HR voxels beyond a patch are read, a multiple of the scale: a patch that was
            cut (from a multiple of the scale) with this many more voxels on each side, degraded, and cropped by
            `border / scale` is the same region of the degraded whole image. None if the whole image is read.
    """

    border: tuple[int, ...] | None

    def __init__(self, grid: Grid, border: tuple[int, ...] | None) -> None:
        super().__init__()
        self.grid = grid
        self.scale_factor = grid.scale
        self.spatial_dims = grid.spatial_dims
        self.border = border
        self._matrices: dict[tuple[Any, ...], Tensor] = {}

    @abstractmethod
    def _axis_matrix(self, axis: int, size: int) -> Tensor:
        """Build the matrix `(size / s, size)` of one axis in float64; the size is a multiple of the scale."""

    def _is_identity(self, axis: int) -> bool:
        """Say whether nothing at all is done along an axis."""
        return self.scale_factor[axis] == 1

    def _zero_filling_matrix(self, axis: int, size: int) -> Tensor:
        """Build the matrix `(s * size, size)` of zero filling; the image is mirrored at its borders.

        The image followed by its mirror image is periodic and continuous, so its edges do not ring.
        """
        eye = torch.eye(size, dtype=torch.float64)
        scale, offset = self.scale_factor[axis], self.grid.offset[axis]
        mirrored = torch.cat([eye, eye.flip(0)])
        return fourier_resample(mirrored, 2 * scale * size, 0, -offset / scale)[: scale * size]

    def forward(self, hr: Tensor) -> Tensor:
        """Degrade a high-resolution image.

        Args:
            hr: `(B, C, *spatial)`, floating or complex, any intensities (nothing is scaled or clipped).

        Returns:
            `(B, C, *ceil(spatial / scale_factor))` of the same type.

        Raises:
            InputError: the number of axes is not `spatial_dims + 2`.
            TypeError: an integer or boolean tensor.
        """
        sizes = self._spatial_shape(hr)
        return self._apply_axes(hr, self._degrading_matrices(sizes, hr))

    def adjoint(self, lr: Tensor, size: Sequence[int] | None = None) -> Tensor:
        """Apply the transposed matrices. This is not an upsampling.

        With `<a, b>` the inner product, `<degradation(x), y> = <x, adjoint(y)>` for images x of this size.

        Args:
            lr: `(B, C, *spatial)`, floating or complex.
            size: the spatial shape of the high-resolution image, `scale_factor * spatial` unless given.

        Returns:
            `(B, C, *size)` of the same type.

        Raises:
            InputError: the number of axes is wrong, or the size does not belong to the image.
            TypeError: an integer or boolean tensor.
        """
        sizes = self._size_hr(lr, size)
        matrices = self._degrading_matrices(sizes, lr)
        return self._apply_axes(lr, [None if m is None else m.T for m in matrices])

    def upsample(self, lr: Tensor, method: str = "cubic", size: Sequence[int] | None = None) -> Tensor:
        """Interpolate a low-resolution image at the voxel centres of the high-resolution grid.

        "nearest", "linear" and "cubic" (Keys, a = -0.5) repeat the edge voxels. "zero_filled" is the Fourier
        interpolation with intensities kept; it takes the image as periodic after a k-space crop (degrading the
        result then gives the input back, but for half of its Nyquist line), and as mirrored at its borders after
        the other degradations, so that its edges do not ring. Axes of scale 1 are left untouched.

        Args:
            lr: `(B, C, *spatial)`, floating or complex.
            method: one of `UPSAMPLING_METHODS`.
            size: the spatial shape of the high-resolution image, `scale_factor * spatial` unless given.

        Returns:
            `(B, C, *size)` of the same type.

        Raises:
            InputError: an unknown method, a wrong number of axes, or a size that does not belong to the image.
            TypeError: an integer or boolean tensor.
        """
        sizes = self._size_hr(lr, size)
        if method not in UPSAMPLING_METHODS:
            raise InputError(f"{type(self).__name__}: method={method!r}; give one of {UPSAMPLING_METHODS}")
        matrices = [
            None if s == 1 else self._matrix(f"up {method}", partial(self._upsampling_matrix, method), a, n, lr)
            for a, (s, n) in enumerate(zip(self.scale_factor, lr.shape[2:], strict=True))
        ]
        hr = self._apply_axes(lr, matrices)
        for axis, n in enumerate(sizes):
            hr = hr.narrow(axis + 2, 0, n)
        return hr

    def upsampler(self, method: str = "cubic") -> PolyphaseUpsampler:
        """Make the interpolation as a module for networks: scriptable, traceable, for any size, without parameters.

        Args:
            method: "nearest", "linear" or "cubic".

        Returns:
            A module from `(B, C, *spatial)` to `(B, C, *(scale_factor * spatial))`.

        Raises:
            InputError: an unknown method, or "zero_filled", which reads the whole image.
        """
        return PolyphaseUpsampler(self.grid.scale, self.grid.offset, method)

    def extra_repr(self) -> str:
        """Show the scale and the offset of the grid."""
        return f"scale_factor={self.scale_factor}, offset={self.grid.offset}, border={self.border}"

    def __getstate__(self) -> dict[str, Any]:
        # Copies and checkpoints of whole objects need not carry what is quickly built again.
        return {**self.__dict__, "_matrices": {}}

    def _spatial_shape(self, x: Tensor) -> tuple[int, ...]:
        if x.ndim != self.spatial_dims + 2:
            raise InputError(
                f"{type(self).__name__}: received a tensor of shape {tuple(x.shape)}; "
                f"give (batch, channel, {self.spatial_dims} spatial axes)"
            )
        if not (x.is_floating_point() or x.is_complex()):
            raise TypeError(
                f"{type(self).__name__}: received {x.dtype}; give a floating or complex tensor, as by .float()"
            )
        return tuple(x.shape[2:])

    def _size_hr(self, lr: Tensor, size: Sequence[int] | None) -> tuple[int, ...]:
        shape_lr = self._spatial_shape(lr)
        full = self.grid.shape_hr(shape_lr)
        if size is None:
            return full
        size = tuple(size)
        if len(size) != self.spatial_dims or self.grid.shape_lr(size) != shape_lr:
            possible = ", ".join(f"{n - s + 1} to {n}" for n, s in zip(full, self.scale_factor, strict=True))
            raise InputError(
                f"{type(self).__name__}: size={size} does not belong to a low-resolution shape of {shape_lr} "
                f"at scale_factor={self.scale_factor}; per axis it may be {possible}"
            )
        return size

    def _padded_axis_matrix(self, axis: int, size: int) -> Tensor:
        """Build the matrix of one axis for any size: the columns of the continued edge are added to the last one."""
        scale = self.scale_factor[axis]
        matrix = self._axis_matrix(axis, scale * -(-size // scale))
        return torch.cat([matrix[:, : size - 1], matrix[:, size - 1 :].sum(1, keepdim=True)], dim=1)

    def _degrading_matrices(self, sizes: Sequence[int], like: Tensor) -> list[Tensor | None]:
        return [
            None if self._is_identity(a) else self._matrix("degrade", self._padded_axis_matrix, a, n, like)
            for a, n in enumerate(sizes)
        ]

    def _upsampling_matrix(self, method: str, axis: int, size: int) -> Tensor:
        if method == "zero_filled":
            return self._zero_filling_matrix(axis, size)
        return torch.from_numpy(interpolation_matrix(self.scale_factor[axis], self.grid.offset[axis], method, size))

    def _matrix(self, what: str, build: Callable[[int, int], Tensor], axis: int, size: int, like: Tensor) -> Tensor:
        """Find or build a matrix, in the type that an image is computed in and on its device."""
        dtype = torch.float64 if like.dtype in (torch.float64, torch.complex128) else torch.float32
        key = (what, axis, size, dtype, like.device)
        matrix = self._matrices.get(key)
        if matrix is None:
            if len(self._matrices) >= _CACHED_MATRICES:
                self._matrices.clear()
            # A tensor that was made in inference mode could not serve a later training step.
            with torch.inference_mode(False), torch.no_grad():
                matrix = build(axis, size).to(device=like.device, dtype=dtype)
            self._matrices[key] = matrix
        return matrix

    def _apply_axes(self, x: Tensor, matrices: Sequence[Tensor | None]) -> Tensor:
        """Apply a matrix along each spatial axis, in its type, whatever autocast says."""
        y = x.as_subclass(Tensor)
        with torch.autocast(x.device.type, enabled=False):
            if x.is_complex():
                y = torch.view_as_real(y.resolve_conj()).movedim(-1, 0)
            for axis, matrix in enumerate(matrices):
                if matrix is not None:
                    y = _apply_along(y.to(matrix.dtype), matrix, y.ndim - self.spatial_dims + axis)
            if x.is_complex():
                y = torch.view_as_complex(y.movedim(0, -1).contiguous())
        return y.to(x.dtype)


def _apply_along(x: Tensor, matrix: Tensor, axis: int) -> Tensor:
    shape = x.shape
    if axis == x.ndim - 1:
        return x @ matrix.T
    y = torch.matmul(matrix, x.reshape(shape[:axis].numel(), shape[axis], -1))
    return y.reshape(*shape[:axis], matrix.shape[0], *shape[axis + 1 :])
