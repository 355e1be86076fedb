"""The figures of a training epoch, gathered without waiting for the device at each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from ignite.engine import Engine, Events

__all__ = ["EpochLoss", "loss_of"]


class EpochLoss:
    """Put the epoch's `loss`, `learning_rate` and `seconds` into `engine.state.metrics`.

    `loss` is the mean over the iterations, summed where the loss lies, so that a GPU is asked once an epoch; under
    several processes it is the mean over all of them, so attach the handler on every rank. `learning_rate` is that of
    the first parameter group when the epoch began; `seconds` are those of the iterations, without validation.

    The handlers of this package that need these figures attach it themselves; attaching it twice does nothing.
    """

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        if engine.has_event_handler(_start_epoch, Events.EPOCH_STARTED):
            return
        engine.add_event_handler(Events.EPOCH_STARTED, _start_epoch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, _add_iteration)
        engine.add_event_handler(Events.EPOCH_COMPLETED, _finish_epoch)


def loss_of(output: Any) -> torch.Tensor | float:
    """Return the scalar loss of an engine's output: a dictionary, MONAI's list of them, or the loss itself.

    Raises:
        KeyError: if the output is a dictionary without "loss".
    """
    if isinstance(output, Sequence) and not isinstance(output, str) and len(output) > 0:
        output = output[0]  # decollated: the loss is repeated for every item
    if isinstance(output, Mapping):
        if "loss" not in output:
            raise KeyError(f"the engine's output has no 'loss', only {sorted(map(str, output))}")
        output = output["loss"]
    return output.detach().mean() if isinstance(output, torch.Tensor) else float(output)


def _start_epoch(engine: Engine) -> None:
    engine.state.epoch_loss_sum = 0.0
    engine.state.epoch_loss_count = 0
    # At the start: a schedule that steps at the end of the epoch would give the next epoch's.
    optimizer = getattr(engine, "optimizer", None)
    engine.state.epoch_learning_rate = None if optimizer is None else float(optimizer.param_groups[0]["lr"])


def _add_iteration(engine: Engine) -> None:
    loss = loss_of(engine.state.output)
    # float32, since half precision loses the small terms of a long sum
    engine.state.epoch_loss_sum += loss.float() if isinstance(loss, torch.Tensor) else loss
    engine.state.epoch_loss_count += 1


def _finish_epoch(engine: Engine) -> None:
    total, count = float(engine.state.epoch_loss_sum), engine.state.epoch_loss_count
    if dist.is_available() and dist.is_initialized():
        sums = torch.tensor([total, count], dtype=torch.float64, device=getattr(engine.state, "device", "cpu"))
        dist.all_reduce(sums)
        total, count = sums.tolist()
    engine.state.metrics["loss"] = total / max(count, 1)
    if engine.state.epoch_learning_rate is not None:
        engine.state.metrics["learning_rate"] = engine.state.epoch_learning_rate
    engine.state.metrics["seconds"] = float(engine.state.times[Events.EPOCH_COMPLETED.name])
