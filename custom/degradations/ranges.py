"""Ranges from which random parameters are drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real

import torch
from torch import Tensor

from custom.errors import UsageError

__all__ = ["checked_range", "uniform"]


def checked_range(
    name: str, value: float | Sequence[float], lowest: float = -math.inf, highest: float = math.inf
) -> tuple[float, float]:
    """Return the two ends of a range.

    Args:
        name: of the key, for the message.
        value: [low, high], or one number for a fixed value.
        lowest: the smallest value that makes sense.
        highest: the largest value that makes sense.

    Raises:
        UsageError: for anything else than two numbers in order, or one that is outside what makes sense.
    """
    ends = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value, value)
    numbers = all(isinstance(end, Real) and not isinstance(end, bool) and math.isfinite(end) for end in ends)
    if len(ends) != 2 or not numbers or not lowest <= ends[0] <= ends[1] <= highest:
        limits = f" between {lowest:g} and {highest:g}" if math.isfinite(lowest) or math.isfinite(highest) else ""
        raise UsageError(f"{name} is {value!r}; give a range [low, high]{limits}, or one number")
    return float(ends[0]), float(ends[1])


def uniform(low: float, high: float, count: int) -> Tensor:
    """Draw numbers evenly from a range with torch's generator: `(count,)`, float32, on the CPU."""
    return low + (high - low) * torch.rand(count)
