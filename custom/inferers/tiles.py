"""Exact tiles: what a network gives on the whole image, piece by piece."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from monai.inferers import Inferer, SimpleInferer
from monai.utils import ensure_tuple
from torch import Tensor, nn

from custom.errors import UsageError
from custom.inferers.receptive_radius import receptive_radius

__all__ = ["Tiles"]


class Tiles(Inferer):
    """Apply a network tile by tile, with a halo that is cropped and not blended.

    The result is that of the network on the whole image if the halo is at least the network's receptive radius. What
    a network wants to know of the whole image (`describe`, see `custom.networks.ImageGates`) is found once and given
    to it with each tile. Tiles that touch the border of the image end there, so that the network's own padding acts
    where it does on the whole image.

    Args:
        tile_size: the edge of a tile in input voxels without its halo, one number or one for each axis; None for one
            piece, the whole image.
        halo: how many input voxels beyond the tile the network sees, one number or one for each axis; None for the
            receptive radius, which is found from the network (`receptive_radius`).
        scale_factor: how many times larger the network makes each axis, one number or one for each axis.
        inferer: how one tile is treated; the bare network by default.

    Raises:
        UsageError: for a tile size or a scale below 1, or a negative halo.
    """

    def __init__(
        self,
        tile_size: int | Sequence[int] | None = None,
        halo: int | Sequence[int] | None = None,
        scale_factor: int | Sequence[int] = 1,
        inferer: Inferer | None = None,
    ) -> None:
        for name, value, least in (
            ("tile_size", 1 if tile_size is None else tile_size, 1),
            ("halo", 0 if halo is None else halo, 0),
            ("scale_factor", scale_factor, 1),
        ):
            if not all(isinstance(number, int) and number >= least for number in ensure_tuple(value)):
                raise UsageError(f"{name} is {value!r}; give whole numbers, {least} or more")
        self.tile_size = tile_size
        self.halo = halo
        self.scale_factor = scale_factor
        self.inferer = inferer or SimpleInferer()

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Apply the network to `(B, C, *spatial)`; returns `(B, C', *(s * spatial))`."""
        if self.tile_size is None:
            return self.inferer(inputs, network, *args, **kwargs)
        shape = inputs.shape[2:]
        tile = _per_axis("tile_size", self.tile_size, len(shape))
        halo = self._halo(network, inputs)
        scale = _per_axis("scale_factor", self.scale_factor, len(shape))
        describe: Callable[[Tensor], Tensor | None] | None = getattr(network, "describe", None)
        description = describe(inputs) if describe else None
        if description is not None:
            kwargs = {**kwargs, "description": description}
        result: Tensor | None = None
        for corner in itertools.product(*(range(0, n, t) for n, t in zip(shape, tile, strict=True))):
            stop = [min(c + t, n) for c, t, n in zip(corner, tile, shape, strict=True)]
            low = [max(c - h, 0) for c, h in zip(corner, halo, strict=True)]
            high = [min(e + h, n) for e, h, n in zip(stop, halo, shape, strict=True)]
            piece = self.inferer(inputs[_window(low, high)], network, *args, **kwargs)
            if result is None:
                result = piece.new_empty((*piece.shape[:2], *_times(shape, scale)))
            core = [
                [(edge - start) * s for edge, start, s in zip(edges, low, scale, strict=True)]
                for edges in (corner, stop)
            ]
            result[_window(_times(corner, scale), _times(stop, scale))] = piece[_window(*core)]
        assert result is not None
        return result

    def _halo(self, network: Callable[..., Tensor], inputs: Tensor) -> tuple[int, ...]:
        axes = inputs.ndim - 2
        if self.halo is not None:
            return _per_axis("halo", self.halo, axes)
        if not isinstance(network, nn.Module):
            raise UsageError("halo is null, and what is applied to the tiles is no torch.nn.Module; give a halo")
        return receptive_radius(network, axes, inputs.shape[1])


def _per_axis(name: str, value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    values = ensure_tuple(value)
    if len(values) not in (1, axes):
        raise UsageError(f"{name} is {value!r}; give one number, or one for each of the {axes} axes of the image")
    return values * axes if len(values) == 1 else values


def _times(numbers: Sequence[int], scale: Sequence[int]) -> list[int]:
    return [n * s for n, s in zip(numbers, scale, strict=True)]


def _window(low: Sequence[int], high: Sequence[int]) -> tuple[slice, ...]:
    """Index the spatial axes of `(B, C, *spatial)`."""
    return (slice(None), slice(None), *(slice(a, b) for a, b in zip(low, high, strict=True)))
