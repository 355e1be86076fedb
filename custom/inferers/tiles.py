"""Exact tiles: what a network gives on the whole image, piece by piece."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from monai.inferers import Inferer, SimpleInferer
from monai.utils import ensure_tuple
from torch import Tensor, nn
from tqdm import tqdm

from custom.arrays.mapped import release
from custom.errors import UsageError
from custom.inferers.memory import MemoryLimit, tensor_memory
from custom.inferers.receptive_radius import receptive_radius

__all__ = ["Tiles"]

logger = logging.getLogger(__name__)

# Edges of the piece of an image, by its number of axes, for which the memory of a network is measured.
_PROBE = {1: 1024, 2: 32, 3: 12}


class Tiles(Inferer):
    """Apply a network tile by tile, with a halo that is cropped and not blended.

    The result is that of the network on the whole image if the halo is at least the network's receptive radius. What
    a network wants to know of the whole image (`describe`, see `custom.networks.ImageGates`) is found once and given
    to it with each tile. Tiles that touch the border of the image end there, so that the network's own padding acts
    where it does on the whole image. A network whose blocks see several voxels at once (`alignment`, see
    `custom.networks.EDSR`) is given tiles whose halo ends between its blocks.

    Args:
        tile_size: the edge of a tile in input voxels without its halo, one number or one for each axis; None for one
            piece, the whole image, unless that does not fit into `memory`.
        halo: how many input voxels beyond the tile the network sees, one number or one for each axis; None for the
            receptive radius, which is found from the network (`receptive_radius`).
        scale_factor: how many times larger the network makes each axis, one number or one for each axis.
        tile_batch: how many tiles the network sees at once, as far as there are so many of one size.
        sw_device: where the network is and the tiles are computed; that of the image by default.
        device: where the result is put together; by default that of the tiles. Both as in MONAI's
            `SlidingWindowInferer`.
        memory: where the result is kept. If it is given and `tile_size` is None, an image for which the network would
            take more than this allows is cut into the largest tiles that fit, which is logged.
        progress: show a bar over the tiles of each image.
        inferer: how one tile is treated; the bare network by default.

    Raises:
        UsageError: for a tile size, a scale or a batch below 1, or a negative halo.
    """

    def __init__(
        self,
        tile_size: int | Sequence[int] | None = None,
        halo: int | Sequence[int] | None = None,
        scale_factor: int | Sequence[int] = 1,
        tile_batch: int = 1,
        sw_device: torch.device | str | None = None,
        device: torch.device | str | None = None,
        memory: MemoryLimit | None = None,
        progress: bool = False,
        inferer: Inferer | None = None,
    ) -> None:
        for name, value, least in (
            ("tile_size", 1 if tile_size is None else tile_size, 1),
            ("halo", 0 if halo is None else halo, 0),
            ("scale_factor", scale_factor, 1),
            ("tile_batch", tile_batch, 1),
        ):
            if not all(isinstance(number, int) and number >= least for number in ensure_tuple(value)):
                raise UsageError(f"{name} is {value!r}; give whole numbers, {least} or more")
        self.tile_size = tile_size
        self.halo = halo
        self.scale_factor = scale_factor
        self.tile_batch = tile_batch
        self.sw_device = sw_device
        self.device = device
        self.chooses = memory is not None
        self.memory = memory or MemoryLimit()
        self.progress = progress
        self.inferer = inferer or SimpleInferer()
        self._chosen: dict[tuple[int, ...], tuple[int, ...] | None] = {}

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Apply the network to `(B, C, *spatial)`; returns `(B, C', *(s * spatial))`.

        Raises:
            UsageError: where no tile that makes sense fits into the memory; for a halo that cannot be found.
        """
        sw_device = torch.device(self.sw_device or inputs.device)
        edges = self._edges(inputs, sw_device, network, *args, **kwargs)
        if edges is None:
            result: Tensor = self.inferer(inputs.to(sw_device), network, *args, **kwargs)
            return result.to(self.device or sw_device)
        inputs = inputs.as_subclass(Tensor)  # to cut metadata out with each tile takes time
        shape = inputs.shape[2:]
        scale = _per_axis("scale_factor", self.scale_factor, len(shape))
        batches = _batches(
            _tiles(shape, edges, self._halo(network, inputs), _alignment(network, len(shape))), self.tile_batch
        )
        describe: Callable[[Tensor], Tensor | None] | None = getattr(network, "describe", None)
        description = describe(inputs.to(sw_device)) if describe else None
        whole: Tensor | None = None
        for batch in tqdm(batches, desc="tiles", unit="batch", leave=False, disable=None if self.progress else True):
            seen = [inputs[_window(tile.low, tile.high)] for tile in batch]
            if description is not None:
                kwargs["description"] = description.repeat(len(batch), *[1] * (description.ndim - 1))
            images = (torch.cat(seen) if len(seen) > 1 else seen[0]).to(sw_device)
            pieces: Tensor = self.inferer(images, network, *args, **kwargs)
            if whole is None:
                size = (len(inputs), pieces.shape[1], *_times(shape, scale))
                whole = self.memory.empty(size, pieces, self.device or sw_device)
            for tile, piece in zip(batch, pieces.split(len(inputs)), strict=True):
                inside = [_times(_minus(corner, tile.low), scale) for corner in (tile.start, tile.stop)]
                whole[_window(_times(tile.start, scale), _times(tile.stop, scale))] = piece[_window(*inside)]
            release(whole)
        assert whole is not None
        return whole

    def _edges(
        self, inputs: Tensor, device: torch.device, network: Callable[..., Tensor], *args: Any, **kwargs: Any
    ) -> tuple[int, ...] | None:
        """Return the edges of a tile along each axis, or None for the whole image."""
        shape = inputs.shape[2:]
        if self.tile_size is not None:
            return _per_axis("tile_size", self.tile_size, len(shape))
        if not self.chooses:
            return None
        if shape not in self._chosen:
            edge = _PROBE[len(shape)]
            part = inputs.as_subclass(Tensor)[:1][_window([0] * len(shape), [edge] * len(shape))].to(device)
            taken = tensor_memory(lambda: self.inferer(part, network, *args, **kwargs))
            needed = len(inputs) * taken / math.prod(part.shape[2:])  # for each voxel
            self._chosen[shape] = self._fitting(shape, needed, self.memory.for_network(device), network, inputs)
        return self._chosen[shape]

    def _fitting(
        self, shape: tuple[int, ...], needed: float, allowed: int, network: Callable[..., Tensor], inputs: Tensor
    ) -> tuple[int, ...] | None:
        """Return the edges of the largest tile for which the network takes no more memory than is allowed."""
        if needed * math.prod(shape) <= allowed:
            return None
        halo = self._halo(network, inputs)
        smallest = min(max(shape), max(1, max(halo) // 2))
        for edge in range(max(shape), smallest - 1, -1):
            edges = tuple(-(-n // -(-n // edge)) for n in shape)  # of as many tiles, but all alike
            seen = [min(e + 2 * h, n) for e, h, n in zip(edges, halo, shape, strict=True)]
            taken = needed * self.tile_batch * math.prod(seen)
            if taken <= allowed:
                logger.info(
                    "for an image of %s voxels the network would take %.0f MB, and %.0f MB of memory are left for it; "
                    "it sees tiles of %s voxels, with %d voxels around them",
                    *(" x ".join(map(str, shape)), needed * math.prod(shape) / 1e6, allowed / 1e6),
                    *(" x ".join(map(str, edges)), max(halo)),
                )
                return edges
        raise UsageError(
            f"{allowed / 1e6:.0f} MB of memory are left for the network, and for the smallest tile that makes sense "
            f"({' x '.join(map(str, edges))} voxels and {max(halo)} around them) it takes {taken / 1e6:.0f} MB; give "
            f"{2 * (taken - allowed) / 1e6:.0f} MB more with --memory_limit, or take a machine with more memory"
        )

    def _halo(self, network: Callable[..., Tensor], inputs: Tensor) -> tuple[int, ...]:
        axes = inputs.ndim - 2
        if self.halo is not None:
            return _per_axis("halo", self.halo, axes)
        if not isinstance(network, nn.Module):
            raise UsageError("halo is null, and what is applied to the tiles is no torch.nn.Module; give a halo")
        return receptive_radius(network, axes, inputs.shape[1])


@dataclass(frozen=True)
class _Tile:
    """Where a tile is in the image, `start` to `stop`, and where with its halo, `low` to `high`."""

    start: tuple[int, ...]
    stop: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]


def _alignment(network: Callable[..., Tensor], axes: int) -> tuple[int, ...]:
    """Return of how many voxels the blocks of a network are, per axis."""
    return _per_axis("alignment", getattr(network, "alignment", 1), axes)


def _tiles(shape: Sequence[int], size: Sequence[int], halo: Sequence[int], alignment: Sequence[int]) -> list[_Tile]:
    tiles = []
    for start in itertools.product(*(range(0, n, step) for n, step in zip(shape, size, strict=True))):
        stop = tuple(min(a + step, n) for a, step, n in zip(start, size, shape, strict=True))
        low = tuple(max(a - h, 0) // m * m for a, h, m in zip(start, halo, alignment, strict=True))
        high = tuple(min(-(-(b + h) // m) * m, n) for b, h, m, n in zip(stop, halo, alignment, shape, strict=True))
        tiles.append(_Tile(start, stop, low, high))
    return tiles


def _batches(tiles: Sequence[_Tile], count: int) -> list[list[_Tile]]:
    """Put tiles of one size, halo included, together."""
    alike: dict[tuple[int, ...], list[_Tile]] = {}
    for tile in tiles:
        alike.setdefault(_minus(tile.high, tile.low), []).append(tile)
    return [group[first : first + count] for group in alike.values() for first in range(0, len(group), count)]


def _per_axis(name: str, value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    values = ensure_tuple(value)
    if len(values) not in (1, axes):
        raise UsageError(f"{name} is {value!r}; give one number, or one for each of the {axes} axes of the image")
    return values * axes if len(values) == 1 else values


def _times(numbers: Sequence[int], scale: Sequence[int]) -> tuple[int, ...]:
    return tuple(n * s for n, s in zip(numbers, scale, strict=True))


def _minus(numbers: Sequence[int], others: Sequence[int]) -> tuple[int, ...]:
    return tuple(a - b for a, b in zip(numbers, others, strict=True))


def _window(low: Sequence[int], high: Sequence[int]) -> tuple[slice, ...]:
    """Index the spatial axes of `(B, C, *spatial)`."""
    return (slice(None), slice(None), *(slice(a, b) for a, b in zip(low, high, strict=True)))
