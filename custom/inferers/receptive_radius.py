"""How far a network looks, found from the network itself."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from custom.errors import UsageError

__all__ = ["receptive_radius"]

# Voxels across the axis that is probed: enough for the reflection of a border.
_WIDTH = 5
_FIRST_LENGTH, _LARGEST_LENGTH = 16, 1024
_known: weakref.WeakKeyDictionary[nn.Module, dict[tuple[int, int], tuple[int, ...]]] = weakref.WeakKeyDictionary()


def receptive_radius(network: nn.Module, spatial_dims: int, in_channels: int = 1) -> tuple[int, ...]:
    """Return how many input voxels to each side of its own an output voxel depends on, for each axis.

    It is where the gradient of the outputs in the middle of an image is not 0. A copy of the network is asked, on the
    processor, in float64, with other weights than its own: weights that are 0, or so small that they vanish, hide
    nothing. What a network knows of the whole image (`describe`) is given to it, as `Tiles` does.

    Args:
        network: from `(B, in_channels, *spatial)` to `(B, C, *(s * spatial))`; its own weights and mode stay.
        spatial_dims: the number of its axes.
        in_channels: of its input.

    Raises:
        UsageError: for a network that reads the whole image, or further than tiles can follow.
    """
    known = _known.setdefault(network, {})
    key = (spatial_dims, in_channels)
    if key not in known:
        probed = _with_other_weights(network)
        known[key] = tuple(_radius(probed, axis, spatial_dims, in_channels) for axis in range(spatial_dims))
    return known[key]


def _with_other_weights(network: nn.Module) -> nn.Module:
    # The weights of a compiled or parallel network are those of the module that it wraps; a copy shares none of them.
    probed = copy.deepcopy(network).cpu().double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in probed.parameters():
            # Positive, so that nothing cancels; the outputs of a layer keep the size of its inputs.
            weight.uniform_(0.5, 1.5, generator=generator).div_(max(1, weight[0].numel() if weight.ndim else 1))
    return probed


@torch.enable_grad()
def _radius(network: nn.Module, axis: int, spatial_dims: int, in_channels: int) -> int:
    length = _FIRST_LENGTH
    while length <= _LARGEST_LENGTH:
        shape = [_WIDTH] * spatial_dims
        shape[axis] = length
        generator = torch.Generator().manual_seed(0)
        image = torch.rand((1, in_channels, *shape), dtype=torch.float64, generator=generator) + 0.5
        describe: Callable[[Tensor], Tensor | None] | None = getattr(network, "describe", None)
        description = describe(image) if describe else None
        image.requires_grad_()
        result = network(image) if description is None else network(image, description=description.detach().double())
        result = cast(Tensor, result).movedim(axis + 2, 0)
        scale, middle = len(result) // length, length // 2
        (gradient,) = torch.autograd.grad(result[scale * middle : scale * (middle + 1)].sum(), image)
        read = gradient.movedim(axis + 2, 0).flatten(1).abs().sum(1).nonzero()
        first, last = int(read.min()), int(read.max())
        if first > 0 and last < length - 1:
            return max(middle - first, last - middle)
        length *= 2
    raise UsageError(
        f"halo is null, and the network reads further than {_LARGEST_LENGTH // 2} voxels along axis {axis}, or the "
        "whole image, so that no halo makes tiles exact; leave tile_size out, or give a halo that is good enough"
    )
