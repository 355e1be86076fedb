"""Interpolation from a low-resolution grid to the high-resolution one."""

# Without `from __future__ import annotations`: torch.jit.script reads the annotations themselves.

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from custom.degradations.kernels import interpolation_weights

__all__ = ["UPSAMPLING_METHODS", "PolyphaseUpsampler", "interpolation_matrix"]

UPSAMPLING_METHODS = ("nearest", "linear", "cubic", "spline", "zero_filled")


def interpolation_matrix(scale: int, offset: float, method: str, size: int) -> NDArray[np.float64]:
    """Build the matrix `(scale * size, size)` that interpolates along one axis.

    Args:
        scale: high-resolution voxels to a low-resolution one.
        offset: of the grid, in high-resolution voxels.
        method: "nearest", "linear" or "cubic", which repeat edge voxels; or "spline", the spline of order 3 through all
            voxels, mirrored at the voxels of the borders (d c b | a b c d | c b a).
        size: of the low-resolution axis.

    Raises:
        UsageError: an unknown method.
    """
    if method == "spline":
        places = (np.arange(scale * size) - offset)[None] / scale
        of_units = [ndimage.map_coordinates(unit, places, order=3, mode="mirror") for unit in np.eye(size)]
        return np.stack(of_units, axis=1)
    first, weights = interpolation_weights(scale, offset, method)
    taps = weights.shape[1]
    columns = np.clip(np.arange(size)[:, None] + np.arange(first, first + taps), 0, size - 1)
    matrix = np.zeros((size, scale, size))
    np.add.at(matrix, (np.arange(size)[:, None, None], np.arange(scale)[:, None], columns[:, None, :]), weights)
    return matrix.reshape(scale * size, size)


class PolyphaseUpsampler(nn.Module):
    """Interpolate by fixed kernels, one for each of the s phases of an axis: the global skip of the networks.

    `(B, C, *spatial)` to `(B, C, *(scale_factor * spatial))` on the grid of a degradation; edge voxels are repeated;
    axes of scale 1 are left untouched. No parameters and nothing in the state dict. For any batch, channels and
    size; `torch.jit.script` and `torch.jit.trace` take it. Computed in float32 (float64 for float64), in
    eager mode under autocast too, and also when the network around it was cast to 16 bits; returned in the type of
    the input, so that 16-bit images come back rounded to 16 bits.

    Args:
        scale_factor: per spatial axis, 2 or 3 axes.
        offset: of the grid per spatial axis, in high-resolution voxels.
        method: "nearest", "linear" or "cubic" (Keys, a = -0.5).

    Raises:
        UsageError: an unknown method, "spline" and "zero_filled" among them (they read the whole image:
            `Degradation.upsample`).
    """

    def __init__(self, scale_factor: Sequence[int], offset: Sequence[float], method: str = "cubic") -> None:
        super().__init__()
        self.scale_factor = tuple(int(s) for s in scale_factor)
        self.method = method
        # The last axis first: what is written with a stride is then smallest.
        last = len(self.scale_factor) - 1
        weights = [interpolation_weights(s, o, method) for s, o in zip(self.scale_factor, offset, strict=True)]
        self.axes = nn.ModuleList(
            _AxisUpsampler(axis == last, axis + 2, scale, *weights[axis])
            for axis, scale in reversed(list(enumerate(self.scale_factor)))
            if scale > 1
        )

    def forward(self, x: Tensor) -> Tensor:
        """Interpolate `(B, C, *spatial)`, real and floating."""
        if torch.jit.is_scripting():
            return self._interpolate(x)
        with torch.autocast(x.device.type, enabled=False):
            return self._interpolate(x)

    def _interpolate(self, x: Tensor) -> Tensor:
        y = x if x.dtype == torch.float64 else x.to(torch.float32)
        for axis in self.axes:
            y = axis(y)
        return y.to(x.dtype)

    def extra_repr(self) -> str:
        """Show the scale and the method."""
        return f"scale_factor={self.scale_factor}, method={self.method!r}"


class _AxisUpsampler(nn.Module):
    """Interpolate along one axis: a convolution to s channels, one a phase, which are then interleaved."""

    kernel: Tensor

    def __init__(self, is_last: bool, axis: int, scale: int, first: int, weights: NDArray[np.float64]) -> None:
        super().__init__()
        self.is_last, self.axis, self.scale = is_last, axis, scale
        self.before = max(-first, 0)
        self.after = max(first + weights.shape[1] - 1, 0)
        # Taps that all lie on one side (decimation grids) are filled up to reach voxel 0.
        filled = np.pad(weights, ((0, 0), (max(first, 0), max(-(first + weights.shape[1] - 1), 0))))
        # Three axes, so that no layout of images in memory (channels_last) is asked of it.
        self._weights = filled[:, None, :]
        self.register_buffer("kernel", torch.tensor(self._weights, dtype=torch.float32), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        sizes = list(x.shape)
        sizes[self.axis] = sizes[self.axis] * self.scale
        kernel = self.kernel.to(x.dtype).unsqueeze(2 if self.is_last else 3)
        if self.is_last:  # (B*C, 1, other axes, n) -> (B*C, other axes, n, s)
            y = x.flatten(0, 1).flatten(1, -2).unsqueeze(1)
            y = F.conv2d(F.pad(y, [self.before, self.after, 0, 0], mode="replicate"), kernel).permute(0, 2, 3, 1)
        else:  # (axes before, 1, n, axes after) -> (axes before, n, s, axes after)
            y = x.flatten(0, self.axis - 1).flatten(2).unsqueeze(1)
            y = F.conv2d(F.pad(y, [0, 0, self.before, self.after], mode="replicate"), kernel).transpose(1, 2)
        return y.reshape(sizes)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        super()._apply(fn, recurse)
        # .half() or .double() of the network around it: take the weights anew rather than rounded.
        dtype = torch.float64 if self.kernel.dtype == torch.float64 else torch.float32
        self.kernel = torch.tensor(self._weights, dtype=dtype, device=self.kernel.device)
        return self
