"""Checks of the arguments of the degradations, which come from a config or the command line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real

from custom.errors import UsageError

__all__ = ["checked_scale_factor", "checked_sigma"]


def checked_scale_factor(scale_factor: int | Sequence[int], spatial_dims: int | None) -> tuple[int, ...]:
    """Give the scale factor per axis.

    Args:
        scale_factor: one whole number for all axes (`spatial_dims` is then needed), or one per axis.
        spatial_dims: 2 or 3.

    Raises:
        UsageError: not whole numbers of at least 1, or not 2 or 3 of them, or not as many as `spatial_dims`.
    """
    if isinstance(scale_factor, Sequence) and not isinstance(scale_factor, str):
        values = tuple(scale_factor)
    else:
        values = (scale_factor,) * _checked_dims(spatial_dims, f"scale_factor={scale_factor!r}")
    if len(values) not in (2, 3) or spatial_dims not in (None, len(values)):
        raise UsageError(
            f"scale_factor={scale_factor!r} with spatial_dims={spatial_dims}: "
            "give one number per spatial axis, for 2 or 3 axes, for example (4, 4) or (1, 1, 4)"
        )
    for value in values:
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
            raise UsageError(f"scale_factor={scale_factor!r}: must be whole numbers of at least 1, for example 4")
    return tuple(int(value) for value in values)


def checked_sigma(sigma: float | Sequence[float], spatial_dims: int) -> tuple[float, ...]:
    """Give the standard deviation per axis.

    Args:
        sigma: one number for all axes, or one per axis.
        spatial_dims: the number of axes.

    Raises:
        UsageError: negative or not finite, or not one per axis.
    """
    values = tuple(sigma) if isinstance(sigma, Sequence) else (sigma,) * spatial_dims
    if len(values) != spatial_dims:
        raise UsageError(f"sigma={sigma!r}: give one number, or one for each of the {spatial_dims} axes")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value) or value < 0:
            raise UsageError(f"sigma={sigma!r}: must be finite and not negative (voxels)")
    return tuple(float(value) for value in values)


def _checked_dims(spatial_dims: int | None, what: str) -> int:
    if spatial_dims not in (2, 3):
        raise UsageError(f"{what} with spatial_dims={spatial_dims}: one number for all axes needs spatial_dims=2 or 3")
    return spatial_dims
