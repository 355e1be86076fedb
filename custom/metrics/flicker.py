"""Flicker: errors that change from frame to frame and make a cine shimmer when it is played."""

from __future__ import annotations

import math

from torch import Tensor

from custom.metrics.filters import sum_double

__all__ = ["flicker"]


def flicker(pred: Tensor, target: Tensor) -> float:
    """Return the mean absolute difference between the error of a frame and the error of the next frame.

    An error that is the same in all frames gives 0. Independent noise of standard deviation s in each frame gives
    2 s / sqrt(pi). The last frame is not compared with the first, because not every cine covers the whole heart cycle.

    Args:
        pred: (1, frames, *spatial), data range 1.
        target: of the same shape.

    Returns:
        The flicker, in units of the data range; NaN for a single frame.

    Raises:
        ValueError: if the shapes differ, or are not (1, frames, *spatial).
    """
    if pred.shape != target.shape or pred.ndim < 3 or len(pred) != 1:
        raise ValueError(
            f"pred has shape {tuple(pred.shape)} and target {tuple(target.shape)}; both must be (1, frames, *spatial)"
        )
    total, count = 0.0, 0
    last = pred[0, 0].float() - target[0, 0].float()
    for t in range(1, pred.shape[1]):  # one frame after the other, so that only two errors are in memory
        error = pred[0, t].float() - target[0, t].float()
        total += sum_double((error - last).abs_())
        count += error.numel()
        last = error
    return total / count if count else math.nan
