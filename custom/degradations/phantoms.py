"""Random piecewise constant images, in which every edge is a clean step and everything else is flat."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["phantoms"]

_SHAPES = 5
# Of the longest axis.
_RADIUS = (0.03, 0.4)


def phantoms(count: int, sizes: Sequence[int]) -> Tensor:
    """Draw images of balls and half-spaces, each of one level, that lie over each other.

    Anatomy hardly has a clean step, or noise on a flat ground. A network that has seen neither rings at the one and
    makes texture of the other. The edges are those of voxels that average what they cover: one voxel wide.

    Args:
        count: how many.
        sizes: of the spatial axes.

    Returns:
        `(count, 1, *sizes)`, float32, 0 to 1; the ground of half of the images is 0, as air is. Drawn by torch's
        generator on the CPU.
    """
    axes = len(sizes)
    grid = torch.meshgrid(*(torch.arange(size) - (size - 1) / 2 for size in sizes), indexing="ij")
    shape = (count, *[1] * axes)
    image = (torch.rand(count) * (torch.rand(count) < 0.5)).reshape(shape).expand(count, *sizes)
    for _ in range(_SHAPES):
        normal = torch.randn(count, axes)
        # A third of the planes lie along an axis, as the edges of a field of view and of boxes do.
        along = torch.rand(count, 1) < 1 / 3
        normal = torch.where(along, torch.eye(axes)[torch.randint(axes, (count,))], normal)
        normal = normal / normal.norm(dim=1, keepdim=True)
        centre = (torch.rand(count, axes) - 0.5) * torch.tensor(sizes)
        radius = (_RADIUS[0] + (_RADIUS[1] - _RADIUS[0]) * torch.rand(count)) * max(sizes)
        offsets = [x - centre[:, axis].reshape(shape) for axis, x in enumerate(grid)]
        plane = sum(normal[:, axis].reshape(shape) * offset for axis, offset in enumerate(offsets))
        ball = radius.reshape(shape) - torch.stack(offsets).norm(dim=0)
        is_ball = (torch.rand(count) < 0.5).reshape(shape)
        inside = (0.5 + torch.where(is_ball, ball, plane)).clamp(0, 1)
        image = image + inside * (torch.rand(count).reshape(shape) - image)
    return image[:, None]
