"""Flicker: errors that change from frame to frame, which the eye sees as shimmer when a cine is played."""

from __future__ import annotations

import math

from torch import Tensor

from custom.metrics.filters import sum_double

__all__ = ["flicker"]


def flicker(pred: Tensor, target: Tensor) -> float:
    """Return the mean absolute difference between the errors of one frame and the next; NaN for a single frame.

    An error that stays the same, however large, gives 0; independent noise of standard deviation s in every frame gives
    2 s / sqrt(pi). The last frame is not compared with the first: not every cine covers the whole cycle.

    Args:
        pred: (1, frames, *spatial), data range 1.
        target: of the same shape.

    Raises:
        ValueError: if the shapes differ.
    """
    if pred.shape != target.shape or pred.ndim < 3 or len(pred) != 1:
        raise ValueError(
            f"pred has shape {tuple(pred.shape)} and target {tuple(target.shape)}; both must be (1, frames, *spatial)"
        )
    total, count = 0.0, 0
    last = pred[0, 0].float() - target[0, 0].float()
    for t in range(1, pred.shape[1]):  # two frames in memory, not all
        error = pred[0, t].float() - target[0, t].float()
        total += sum_double((error - last).abs_())
        count += error.numel()
        last = error
    return total / count if count else math.nan
