"""The relation between the voxels of a low-resolution image and those of the high-resolution one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike, NDArray

from custom.arrays.slices import checked_slice_axis
from custom.errors import UsageError

__all__ = ["Grid"]


@dataclass(frozen=True)
class Grid:
    """Say where low-resolution voxels lie: centre i of axis a at high-resolution coordinate `scale[a]*i + offset[a]`.

    Coordinates count voxel centres from 0. A pixel-centre grid has `offset = (scale - 1) / 2`: the fields of view of
    both images then agree. A corner grid has offset 0: the first voxel centres agree.

    Attributes:
        scale: high-resolution voxels to a low-resolution one, per spatial axis, 2 or 3 axes.
        offset: in high-resolution voxels, per spatial axis.
    """

    scale: tuple[int, ...]
    offset: tuple[float, ...]

    def __post_init__(self) -> None:
        scale, offset = tuple(self.scale), tuple(float(o) for o in self.offset)
        if len(scale) not in (2, 3) or len(offset) != len(scale):
            raise UsageError(f"Grid(scale={scale}, offset={offset}): give both for the same 2 or 3 axes")
        if any(isinstance(s, bool) or not isinstance(s, Integral) or s < 1 for s in scale):
            raise UsageError(f"Grid: scale={scale} must be whole numbers of at least 1")
        if not all(math.isfinite(o) for o in offset):
            raise UsageError(f"Grid: offset={offset} must be finite numbers")
        object.__setattr__(self, "scale", tuple(int(s) for s in scale))
        object.__setattr__(self, "offset", offset)

    @classmethod
    def pixel_centre(cls, scale: Sequence[int]) -> Grid:
        """Make the grid on which both images cover the same field of view: `offset = (scale - 1) / 2`."""
        return cls(tuple(scale), tuple((s - 1) / 2 for s in scale))

    @property
    def spatial_dims(self) -> int:
        """The number of spatial axes, 2 or 3."""
        return len(self.scale)

    @property
    def is_symmetric(self) -> bool:
        """Whether a low-resolution image flips with its high-resolution one, as on a pixel-centre grid."""
        return self == Grid.pixel_centre(self.scale)

    def shape_lr(self, shape_hr: Sequence[int]) -> tuple[int, ...]:
        """Give the low-resolution shape of a high-resolution one: `ceil(n / scale)` per spatial axis."""
        return tuple(-(-n // s) for n, s in zip(self._checked(shape_hr), self.scale, strict=True))

    def shape_hr(self, shape_lr: Sequence[int], size: Sequence[int] | None = None) -> tuple[int, ...]:
        """Give the high-resolution shape of a low-resolution one.

        Args:
            shape_lr: per spatial axis.
            size: a high-resolution shape to check and give back. The last low-resolution voxel of an axis may stand
                for fewer than `scale` voxels. By default it stands for all: `scale * n` per spatial axis.

        Raises:
            ValueError: the shapes do not belong to each other.
        """
        shape_lr = self._checked(shape_lr)
        full = tuple(n * s for n, s in zip(shape_lr, self.scale, strict=True))
        if size is None:
            return full
        size = tuple(size)
        if len(size) != self.spatial_dims or self.shape_lr(size) != shape_lr:
            possible = ", ".join(f"{n - s + 1} to {n}" for n, s in zip(full, self.scale, strict=True))
            raise ValueError(
                f"size={size} does not belong to a low-resolution shape of {shape_lr} at scale_factor={self.scale}; "
                f"per axis it may be {possible}"
            )
        return size

    def affine_lr(self, affine_hr: ArrayLike) -> NDArray[np.float64]:
        """Give the low-resolution affine: `affine_hr @ [[diag(scale), offset], [0, 1]]`.

        Args:
            affine_hr: 4 x 4, voxel indices (i, j, k) to mm in any world frame. A 2D grid acts on i and j.

        Returns:
            4 x 4 float64.

        Raises:
            ValueError: not a 4 x 4 matrix.
        """
        return _checked_affine(affine_hr) @ self._index_affine()

    def affine_hr(self, affine_lr: ArrayLike) -> NDArray[np.float64]:
        """Give the high-resolution affine of a low-resolution one: the inverse of `affine_lr`."""
        index = self._index_affine()
        spacing = np.diag(1.0 / np.diag(index))
        spacing[:3, 3] = -index[:3, 3] / np.diag(index)[:3]
        return _checked_affine(affine_lr) @ spacing

    def with_slice_axis(self, axis: int) -> Grid:
        """Insert an axis of scale 1 and offset 0: the grid of a volume whose slices are degraded in 2D.

        Args:
            axis: where the slice axis lies in the volume, -3 to 2 (-1 is the last).

        Returns:
            A 3D grid.

        Raises:
            UsageError: the grid is 3D already, or there is no such axis.
        """
        if self.spatial_dims != 2:
            raise UsageError(f"a degradation of {self.spatial_dims} axes takes no slice_axis; give it 2 spatial_dims")
        axis = checked_slice_axis(axis)
        scale, offset = list(self.scale), list(self.offset)
        scale.insert(axis, 1)
        offset.insert(axis, 0.0)
        return Grid(tuple(scale), tuple(offset))

    def _checked(self, shape: Sequence[int]) -> tuple[int, ...]:
        shape = tuple(int(n) for n in shape)
        if len(shape) != self.spatial_dims or min(shape) < 1:
            raise ValueError(f"shape {shape}: give {self.spatial_dims} spatial sizes of at least 1 for {self}")
        return shape

    def _index_affine(self) -> NDArray[np.float64]:
        index = np.eye(4)
        for axis, (s, o) in enumerate(zip(self.scale, self.offset, strict=True)):
            index[axis, axis], index[axis, 3] = s, o
        return index


def _checked_affine(affine: ArrayLike) -> NDArray[np.float64]:
    matrix = np.asarray(affine, dtype=np.float64)
    if matrix.shape != (4, 4):
        raise ValueError(f"affine of shape {matrix.shape}: give a 4 x 4 matrix (also for a 2D grid)")
    return matrix
