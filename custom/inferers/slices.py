"""A 2D network on a volume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer, SimpleInferer
from torch import Tensor
from tqdm import tqdm

from custom.arrays.mapped import release
from custom.arrays.slices import (
    checked_context_slices,
    checked_slice_axis,
    neighbouring_slices,
    slices_to_volume,
    volume_to_slices,
)
from custom.inferers.memory import MemoryLimit

__all__ = ["VolumeSlices"]


class VolumeSlices(Inferer):
    """Read a volume as slices, apply a 2D network to them in batches and put the results together again.

    The memory in use is the result and one batch. `custom.arrays` says what the axes are;
    `custom.degradations.SliceBySlice` is the same for degradations.

    Args:
        slice_axis: the array axis along which the slices follow each other, 0 to 2, or -3 to -1 from the end.
        context_slices: how many neighbouring slices the network sees as channels, odd; 1 is the slice alone. Beyond
            the ends of the volume the last slice is repeated.
        pixels: about how many pixels one batch holds; small batches stay in the processor's cache.
        progress: show a bar over the slices of each volume.
        memory: where the result is kept; by default in the memory that is free, else in a file.
        inferer: how one batch of slices is treated; the bare network by default.

    Raises:
        UsageError: for an axis that a volume does not have, or an even number of context slices.
    """

    def __init__(
        self,
        slice_axis: int = -1,
        context_slices: int = 1,
        pixels: int = 2**16,
        progress: bool = False,
        memory: MemoryLimit | None = None,
        inferer: Inferer | None = None,
    ) -> None:
        self.slice_axis = checked_slice_axis(slice_axis)
        self.context_slices = checked_context_slices(context_slices)
        self.pixels = pixels
        self.progress = progress
        self.memory = memory or MemoryLimit()
        self.inferer = inferer or SimpleInferer()

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Apply the network to one frame of a volume, `(1, 1, i, j, k)`, or of pictures, `(B, 1, i, j)`.

        Raises:
            ValueError: for several volumes, whose slices would be taken for neighbours of each other.
        """
        is_volume = inputs.ndim == 5
        if is_volume and len(inputs) > 1:
            raise ValueError(f"inputs has shape {tuple(inputs.shape)}; give one volume, (1, 1, i, j, k)")
        slices = volume_to_slices(torch.as_tensor(inputs), self.slice_axis)
        count = len(slices)
        batch = max(1, self.pixels // (slices.shape[-2] * slices.shape[-1]))
        result: Tensor | None = None
        starts = range(0, count, batch)
        for start in tqdm(starts, desc="slices", unit="batch", leave=False, disable=None if self.progress else True):
            stop = min(start + batch, count)
            # Pictures of a batch are no neighbours: each is its own context.
            channels = (
                neighbouring_slices(slices, start, stop, self.context_slices)
                if is_volume
                else slices[start:stop].expand(-1, self.context_slices, -1, -1)
            )
            enlarged = self.inferer(channels, network, *args, **kwargs)
            if result is None:
                result = self.memory.empty((count, *enlarged.shape[1:]), enlarged)
            result[start:stop] = enlarged
            release(result)
        assert result is not None
        return slices_to_volume(result, self.slice_axis) if is_volume else result
