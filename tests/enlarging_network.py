"""A network whose results show where the image that it was given ends."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Enlarge"]


class Enlarge(nn.Module):
    """A network of receptive radius 2 that doubles every axis; its zero padding shows where the image ends.

    Args:
        spatial_dims: 2 or 3.
        channels: of the image.
        scale_factor: how many times larger each axis becomes, if not 2.
    """

    def __init__(self, spatial_dims: int, channels: int = 1, scale_factor: Sequence[int] | None = None) -> None:
        super().__init__()
        self.factor = [float(scale) for scale in scale_factor or [2] * spatial_dims]
        kind = nn.Conv2d if spatial_dims == 2 else nn.Conv3d
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layers = nn.Sequential(kind(channels, 3, 3, padding=1), nn.ReLU(), kind(3, 1, 3, padding=1))

    def forward(self, image: Tensor) -> Tensor:
        return F.interpolate(self.layers(image), scale_factor=self.factor, mode="nearest")
