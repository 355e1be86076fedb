"""Windows that a scanner lays over k-space before it transforms it to an image."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from custom.errors import UsageError

__all__ = ["WINDOWS", "frequency_window"]

#: Names of the windows; "none" keeps all frequencies as they are.
WINDOWS = ("none", "hamming", "tukey", "fermi")


def frequency_window(frequency: Tensor, name: str = "none", strength: float = 1.0) -> Tensor:
    """Return the weights of a window at some frequencies.

    Args:
        frequency: any shape, as a part of the largest that was acquired: 0 is the centre of k-space, 1 (and -1) its
            edge; beyond it the weight is 0.
        name: one of `WINDOWS`.
            "hamming": `0.54 + 0.46 cos(pi f)` at strength 1, raised towards 1 at less.
            "tukey": 1 up to `1 - strength`, then half a cosine down to 0 at the edge.
            "fermi": `1 / (1 + exp((|f| - r) / w))` with `r = 1 - 0.15 strength` and `w = 0.05 strength`.
        strength: 0 (no window) to 1.

    Returns:
        Weights of the same shape and type, 1 at the centre of k-space.

    Raises:
        UsageError: for an unknown name, or a strength outside 0 to 1.

    Source: M. A. Bernstein, K. F. King and X. J. Zhou, "Handbook of MRI Pulse Sequences", 2004, section 13.1 (windowing
    functions for the reconstruction; Fermi with the constants that are usual there).
    """
    if name not in WINDOWS:
        raise UsageError(f"window is {name!r}; choose one of {', '.join(WINDOWS)}")
    if not 0.0 <= strength <= 1.0:
        raise UsageError(f"window_strength is {strength}; give a number from 0 (no window) to 1")
    distance = frequency.abs()
    weights = torch.ones_like(distance)
    if name == "hamming":
        weights = 1.0 - 0.46 * strength * (1.0 - torch.cos(math.pi * distance))
    elif name == "tukey" and strength > 0:
        fall = ((distance - (1.0 - strength)) / strength).clamp(0.0, 1.0)
        weights = 0.5 * (1.0 + torch.cos(math.pi * fall))
    elif name == "fermi" and strength > 0:
        radius, width = 1.0 - 0.15 * strength, 0.05 * strength
        # Divided by its value at the centre, which is a little below 1.
        weights = (1.0 + math.exp(-radius / width)) / (1.0 + torch.exp((distance - radius) / width))
    # A rounding error must not cut off the outermost line.
    return torch.where(distance <= 1.0 + 1e-6, weights, torch.zeros_like(weights))
