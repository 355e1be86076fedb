"""Stops a training whose loss is no number any more, before the weights and checkpoints are spoilt."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents

from custom.errors import InputError
from custom.handlers.epoch_loss import EpochLoss, loss_of

__all__ = ["NanGuard"]

_CUDA_INTERVAL = 50


class NanGuard:
    """Stop training when the loss is NaN or infinite, and name the epoch, the iteration and the part of the loss.

    The loss is looked at before the optimiser steps, so that a check of every iteration leaves the weights of the
    iteration before. Between two checks the running sum of the losses keeps any NaN until the next one; the last
    iteration of an epoch is always checked, so that no checkpoint of an epoch's end holds NaN.

    Args:
        loss_function: the loss; where it has `parts`, the terms of its last call by name, the non-finite are named.
        interval: check every so many iterations; None: 1, and on CUDA 50, because a check waits for the device.
    """

    def __init__(self, loss_function: Any | None = None, interval: int | None = None) -> None:
        if interval is not None and interval < 1:
            raise InputError(f"interval of NanGuard is {interval}; give a number of iterations, 1 or more")
        self.loss_function = loss_function
        self.interval = interval

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        EpochLoss().attach(engine)  # first, so that its sum holds the iteration that is checked
        with contextlib.suppress(ValueError):  # an engine without MONAI's events: found after the step
            engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self._before_step)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._after_step)

    def _before_step(self, engine: Engine) -> None:
        if self._is_due(engine, loss := loss_of(engine.state.output)) and not math.isfinite(loss):
            raise InputError(self._message(engine, float(loss)))

    def _after_step(self, engine: Engine) -> None:
        loss = engine.state.epoch_loss_sum
        if self._is_due(engine, loss) and not math.isfinite(loss):
            raise InputError(self._message(engine, float(loss_of(engine.state.output))))

    def _is_due(self, engine: Engine, loss: torch.Tensor | float) -> bool:
        iteration, length = engine.state.iteration, engine.state.epoch_length
        on_cuda = isinstance(loss, torch.Tensor) and loss.is_cuda
        interval = self.interval or (_CUDA_INTERVAL if on_cuda else 1)
        return iteration % interval == 0 or (bool(length) and iteration % length == 0)

    def _message(self, engine: Engine, loss: float) -> str:
        state = engine.state
        if math.isfinite(loss):
            what = f"a loss was not finite in epoch {state.epoch}, at iteration {state.iteration} or shortly before"
        else:
            what = f"the loss is {loss} in epoch {state.epoch}, iteration {state.iteration}"
        parts = getattr(self.loss_function, "parts", None)
        if isinstance(parts, Mapping) and parts:
            values = {name: float(torch.as_tensor(value).detach().float().mean()) for name, value in parts.items()}
            broken = [f"{name} = {value}" for name, value in values.items() if not math.isfinite(value)]
            sound = [f"{name} = {value:.4g}" for name, value in values.items() if math.isfinite(value)]
            what += f"; parts not finite: {', '.join(broken) or 'none'}; finite: {', '.join(sound) or 'none'}"
        if tensors := _non_finite_tensors(state.output):
            what += f"; NaN or infinity in: {', '.join(tensors)}"
        return (
            f"training stopped: {what}. The last good checkpoint is kept. Give a smaller --learning_rate, "
            'look at the images of the data set if "image" or "label" is named, then go on with --resume true'
        )


def _non_finite_tensors(output: Any) -> list[str]:
    """Return which of "image", "label", "pred" in an engine's output hold NaN or infinity."""
    items = output if isinstance(output, list) else [output]
    return [
        key
        for key in ("image", "label", "pred")
        if any(
            isinstance(item, Mapping) and isinstance(item.get(key), torch.Tensor) and not item[key].isfinite().all()
            for item in items
        )
    ]
