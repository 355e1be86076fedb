"""Stops a training whose loss is NaN or infinite, before the weights and checkpoints are spoilt."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents

from custom.errors import InputError
from custom.handlers.epoch_loss import EpochLoss, losses_of

__all__ = ["NanGuard"]


class NanGuard:
    """Stop training when a loss is NaN or infinite, and name the epoch, the iteration and the part of the loss.

    The losses are looked at before the optimizer steps, so that a check of every iteration leaves the weights of the
    iteration before. On a GPU each check would make the processor wait, so only every 50th iteration is checked there:
    between two checks the running sums of the losses keep any NaN until the next one. The last iteration of an epoch
    is always checked, so that no checkpoint of an epoch's end holds NaN.

    Attributes:
        intervals: check every so many iterations, by the type of the device that a loss is on.
    """

    def __init__(self) -> None:
        self.intervals = {"cpu": 1, "cuda": 50}

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        EpochLoss().attach(engine)  # first, so that its sums hold the iteration that is checked
        with contextlib.suppress(ValueError):  # an engine without MONAI's events: found after the step
            engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self._before_step)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._after_step)

    def _before_step(self, engine: Engine) -> None:
        self._check(engine, losses_of(engine))

    def _after_step(self, engine: Engine) -> None:
        self._check(engine, engine.state.epoch_losses)

    def _check(self, engine: Engine, losses: Mapping[str, torch.Tensor | float]) -> None:
        iteration, length = engine.state.iteration, engine.state.epoch_length
        device = losses["loss"].device.type if isinstance(losses["loss"], torch.Tensor) else "cpu"
        is_due = iteration % self.intervals.get(device, 1) == 0 or (bool(length) and iteration % length == 0)
        if is_due and not all(math.isfinite(loss) for loss in losses.values()):
            raise InputError(_message(engine))


def _message(engine: Engine) -> str:
    state = engine.state
    losses = {name: float(value) for name, value in losses_of(engine).items()}
    if all(map(math.isfinite, losses.values())):
        what = f"a loss was not finite in epoch {state.epoch}, at iteration {state.iteration} or shortly before"
    else:
        what = f"the loss is {losses['loss']} in epoch {state.epoch}, iteration {state.iteration}"
    parts = {name.removeprefix("loss_"): value for name, value in losses.items() if name != "loss"}
    if parts:
        broken = [f"{name} = {value}" for name, value in parts.items() if not math.isfinite(value)]
        sound = [f"{name} = {value:.4g}" for name, value in parts.items() if math.isfinite(value)]
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
