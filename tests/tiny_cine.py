"""A beating heart of a few frames: a disc of blood in a wall, whose area is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

__all__ = ["RADII", "cine", "frame"]

#: Radii of the blood in the frames of a cine, in pixels.
RADII = (16.0, 12.0, 8.0, 12.0)


def frame(radius: float, size: int = 64, centre: tuple[float, float] = (32.0, 34.0)) -> Tensor:
    """Return (rows, columns): blood in a wall of constant area in dark lung, with soft edges."""
    rows, columns = np.indices((size, size), dtype=float)
    distance = np.hypot(rows - centre[0], columns - centre[1])
    outer = math.sqrt(radius**2 + 22.0**2 - 16.0**2)
    wall = np.clip(outer - distance, 0, 1) * 0.25
    return torch.from_numpy(0.02 + wall + np.clip(radius - distance, 0, 1) * 0.55).float()


def cine(radii: Sequence[float] = RADII, slices: int = 3) -> Tensor:
    """Return (frames, rows, columns, slices), each slice with a smaller heart than the one before."""
    return torch.stack([torch.stack([frame(r * (1 - 0.1 * k)) for r in radii]) for k in range(slices)], dim=-1)
