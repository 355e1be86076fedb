"""Degradations in the image domain: each low-resolution voxel is a weighted sum of the voxels around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from custom.degradations.grid import Grid
from custom.degradations.separable import SeparableDegradation

__all__ = ["Stencil", "StencilDegradation"]


@dataclass(frozen=True, eq=False)
class Stencil:
    """The weights of one axis: low-resolution voxel i is `sum_t weights[t] * x[scale * i + first + t]`.

    Attributes:
        first: which voxel the first weight takes, counted from `scale * i`.
        weights: float64; they sum to 1, so that constants are kept.
    """

    first: int
    weights: NDArray[np.float64]

    @property
    def last(self) -> int:
        """Which voxel the last weight takes, counted from `scale * i`."""
        return self.first + len(self.weights) - 1

    def matrix(self, scale: int, size: int) -> Tensor:
        """Build the matrix `(size / scale, size)` with symmetric borders: d c b a | a b c d | d c b a."""
        rows = size // scale
        voxels = scale * np.arange(rows)[:, None] + np.arange(self.first, self.last + 1)
        voxels %= 2 * size  # a symmetric border repeats after twice the length, however long the stencil is
        voxels = np.where(voxels < size, voxels, 2 * size - 1 - voxels)
        matrix = np.zeros((rows, size))
        np.add.at(matrix, (np.arange(rows)[:, None], voxels), self.weights)
        return torch.from_numpy(matrix)


class StencilDegradation(SeparableDegradation):
    """A degradation with one stencil for each axis and symmetric (half-sample) borders.

    Args:
        grid: where low-resolution voxels lie.
        stencils: one for each spatial axis.
    """

    def __init__(self, grid: Grid, stencils: tuple[Stencil, ...]) -> None:
        border = []
        for scale, stencil in zip(grid.scale, stencils, strict=True):
            reach = max(-stencil.first, stencil.last - (scale - 1), 0)
            border.append(scale * -(-reach // scale))
        super().__init__(grid, tuple(border))
        self._stencils = stencils

    def _axis_matrix(self, axis: int, size: int) -> Tensor:
        return self._stencils[axis].matrix(self.scale_factor[axis], size)

    def _is_identity(self, axis: int) -> bool:
        stencil = self._stencils[axis]
        return self.scale_factor[axis] == 1 and stencil.first == 0 and len(stencil.weights) == 1
