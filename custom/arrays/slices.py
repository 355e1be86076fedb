"""Volumes as batches of slices, and back: how a 2D network reads a volume.

Shapes: a volume (1, C, i, j, k) with the axes of the affine; slices (n, C, *the two other axes in their order). The
channels may be the frames of a scan, which are then those of every slice.
"""

from __future__ import annotations

import torch
from torch import Tensor

from custom.errors import UsageError

__all__ = ["neighbouring_slices", "slices_to_volume", "volume_to_slices"]


def volume_to_slices(volume: Tensor, slice_axis: int = -1) -> Tensor:
    """Return the slices of (1, C, i, j, k) along a spatial axis as a batch; (B, C, i, j) comes back as it is.

    No copy is made: the slices are a view. Metadata is left behind.

    Args:
        volume: one volume, or images.
        slice_axis: 0 to 2, or -3 to -1 from the end.

    Raises:
        ValueError: if there is more than one volume, or no such axis.
    """
    if volume.ndim == 4:
        return volume
    if volume.ndim != 5 or len(volume) != 1:
        raise ValueError(f"volume has shape {tuple(volume.shape)}; give one volume, (1, C, i, j, k)")
    return volume[0].movedim(_spatial_axis(slice_axis) + 1, 0)


def slices_to_volume(slices: Tensor, slice_axis: int = -1) -> Tensor:
    """Return the volume (1, C, i, j, k) whose slices along `slice_axis` are given: undoes `volume_to_slices`.

    Args:
        slices: (n, C, *two spatial axes).
        slice_axis: 0 to 2, or -3 to -1 from the end.

    Raises:
        ValueError: if the shape or the axis is wrong.
    """
    if slices.ndim != 4:
        raise ValueError(f"slices has shape {tuple(slices.shape)}; (n, C, rows, columns) is needed")
    return slices.movedim(0, _spatial_axis(slice_axis) + 1)[None]


def neighbouring_slices(slices: Tensor, start: int, stop: int, context_slices: int) -> Tensor:
    """Stack each slice of `start` to `stop` with its neighbours as channels; beyond the ends the last one is repeated.

    Args:
        slices: (n, 1, *spatial).
        start: first slice.
        stop: one past the last slice.
        context_slices: the number of channels, odd.

    Returns:
        (stop - start, context_slices, *spatial); the slice itself is the middle channel.
    """
    if context_slices == 1:
        return slices[start:stop]
    middle = torch.arange(start, stop, device=slices.device)[:, None]
    offsets = torch.arange(context_slices, device=slices.device) - context_slices // 2
    return slices[(middle + offsets).clamp(0, len(slices) - 1), 0]


def _spatial_axis(slice_axis: int) -> int:
    if not -3 <= slice_axis < 3:
        raise UsageError(f"slice_axis: {slice_axis} is not an axis of a volume; give 0 to 2, or -3 to -1")
    return slice_axis % 3
