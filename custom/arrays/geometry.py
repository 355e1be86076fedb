"""Where a scan lies: the corners of its field of view, and how far two affines differ over it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import torch

from custom.errors import InputError

__all__ = ["affine_array", "affine_distance", "field_of_view_corners", "slab_bounds"]


def affine_array(affine: torch.Tensor | np.ndarray) -> np.ndarray:
    """Return an affine as a float64 array, whatever it was held in."""
    return np.asarray(torch.as_tensor(affine).detach().cpu(), dtype=np.float64)


def field_of_view_corners(shape: Sequence[int], affine: np.ndarray) -> np.ndarray:
    """Return the eight corners of the field of view, in the affine's unit (mm).

    The field of view reaches to the voxels' edges, from -0.5 to n - 0.5 along each axis. An image of two axes is one
    voxel thick.

    Args:
        shape: sizes of the two or three spatial axes i, j, k.
        affine: 4x4, voxel index to world.

    Returns:
        Array (8, 3), the corner of index 0 first, the last axis running fastest.
    """
    sizes = (*shape, 1)[:3]
    edges = [(-0.5, size - 0.5) for size in sizes]
    corners = np.array(list(product(*edges)), dtype=np.float64)
    matrix = np.asarray(affine, dtype=np.float64)
    return corners @ matrix[:3, :3].T + matrix[:3, 3]


def affine_distance(shape: Sequence[int], first: np.ndarray, second: np.ndarray) -> float:
    """Return the largest distance (mm) between the corners of one field of view under two affines."""
    difference = field_of_view_corners(shape, first) - field_of_view_corners(shape, second)
    return float(np.linalg.norm(difference, axis=1).max())


def slab_bounds(size: int, start: float, stop: float) -> tuple[int, int]:
    """Return the first slice of a slab and the one after its last.

    Args:
        size: slices along the axis.
        start: fraction of the axis, 0 to 1.
        stop: fraction of the axis, above start.

    Raises:
        InputError: for a slab that holds no slice.
    """
    first, last = (min(max(int(fraction * size + 0.5), 0), size) for fraction in (start, stop))
    if first >= last:
        raise InputError(f"the slab [{start:g}, {stop:g}) of {size} slices holds none; make it thicker")
    return first, last
