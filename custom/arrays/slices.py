"""Volumes as batches of slices, and back: how a 2D network, a 2D degradation and a 2D metric read a volume."""

from __future__ import annotations

import torch
from torch import Tensor

from custom.errors import UsageError

__all__ = [
    "checked_context_slices",
    "checked_slice_axis",
    "neighbouring_slices",
    "slices_to_volume",
    "volume_to_slices",
]


def checked_slice_axis(slice_axis: int) -> int:
    """Return the axis along which the slices of a volume follow each other, counted from the first: 0 to 2.

    Raises:
        UsageError: for anything but 0 to 2, or -3 to -1 from the end.
    """
    if not isinstance(slice_axis, int) or not -3 <= slice_axis < 3:
        raise UsageError(f"slice_axis: {slice_axis!r} is not an axis of a volume; give 0 to 2, or -3 to -1")
    return slice_axis % 3


def checked_context_slices(context_slices: int) -> int:
    """Return how many neighbouring slices a network sees.

    Raises:
        UsageError: for anything but an odd number; the slice in the middle is the one that is enlarged.
    """
    if not isinstance(context_slices, int) or context_slices < 1 or context_slices % 2 == 0:
        raise UsageError(
            f"context_slices: {context_slices!r} slices have none in the middle, which is the one that is enlarged; "
            "give 1 or another odd number"
        )
    return context_slices


def volume_to_slices(volume: Tensor, slice_axis: int = -1) -> Tensor:
    """Return the slices of volumes as a batch; pictures `(B, C, i, j)` come back as they are.

    Of one volume the slices are a view; no copy is made. Metadata is left behind.

    Args:
        volume: `(B, C, i, j, k)`.
        slice_axis: 0 to 2, or -3 to -1 from the end.

    Returns:
        `(B * slices, C, *the two other axes in their order)`.

    Raises:
        ValueError: if these are no volumes.
        UsageError: if there is no such axis.
    """
    if volume.ndim == 4:
        return volume
    if volume.ndim != 5:
        raise ValueError(f"volume has shape {tuple(volume.shape)}; give (B, C, i, j, k)")
    return volume.as_subclass(Tensor).movedim(checked_slice_axis(slice_axis) + 2, 1).flatten(0, 1)


def slices_to_volume(slices: Tensor, slice_axis: int = -1, batch: int = 1) -> Tensor:
    """Return the volumes whose slices are given: undoes `volume_to_slices`.

    Args:
        slices: `(B * slices, C, rows, columns)`.
        slice_axis: 0 to 2, or -3 to -1 from the end.
        batch: B, how many volumes they are of.

    Returns:
        `(B, C, i, j, k)`, a view.

    Raises:
        ValueError: if these are no slices.
        UsageError: if there is no such axis.
    """
    if slices.ndim != 4:
        raise ValueError(f"slices has shape {tuple(slices.shape)}; (slices, C, rows, columns) is needed")
    return slices.unflatten(0, (batch, -1)).movedim(1, checked_slice_axis(slice_axis) + 2)


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
