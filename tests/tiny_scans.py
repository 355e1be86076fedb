"""Small made-up scans."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

__all__ = ["AFFINE", "SWAPPED", "ramp", "tiny_volume"]

# Left-handed, oblique, anisotropic, off the origin.
AFFINE = np.array([[-0.9, 0.1, 0, 30], [0.1, 0.9, 0, -40], [0, 0, 2, 5], [0, 0, 0, 1.0]])
# The axes of the array are those of the body in another order.
SWAPPED = np.array([[0.0, 0.0, -3.0, 90.0], [-0.7, 0.0, 0.0, 80.0], [0.0, 0.7, 0.0, -70.0], [0.0, 0.0, 0.0, 1.0]])


def tiny_volume(seed: int, shape: tuple[int, ...] = (34, 41, 5)) -> np.ndarray:
    """Draw smooth structure inside an ellipse, with air around it."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.5)
    grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape[:2]), indexing="ij")
    inside = sum(g**2 for g in grid)[:, :, None] < 0.9
    return np.asarray(inside * (900 + 3000 * noise).clip(300, 2000), dtype=np.float32)


def ramp(*shape: int) -> torch.Tensor:
    """Count the voxels of one frame: `(1, *shape)`, float32."""
    return torch.arange(float(np.prod(shape))).reshape(1, *shape)
