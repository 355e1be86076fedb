"""The figures of a training epoch, gathered without waiting for the device at each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from ignite.engine import Engine, Events
from torch import Tensor

__all__ = ["EpochLoss", "losses_of"]


class EpochLoss:
    """Put the epoch's losses, `learning_rate` and `seconds` into `engine.state.metrics`.

    Each loss that `losses_of` finds is the mean over the iterations, summed where the loss lies, so that a GPU is asked
    once an epoch; under several processes it is the mean over all of them, so attach the handler on every rank.
    `learning_rate` is that of the first parameter group when the epoch began; `seconds` are those of the iterations,
    without validation.

    The handlers of this package that need these figures attach it themselves; attaching it twice does nothing.
    """

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        if engine.has_event_handler(_start_epoch, Events.EPOCH_STARTED):
            return
        engine.add_event_handler(Events.EPOCH_STARTED, _start_epoch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, _add_iteration)
        engine.add_event_handler(Events.EPOCH_COMPLETED, _finish_epoch)


def losses_of(engine: Engine) -> dict[str, Tensor | float]:
    """Return the losses of an engine's last step, without gradient.

    The first is "loss". After it come, as "loss_<name>", those that have names: what the engine's output holds under
    "losses" (an engine that trains several networks), else the `parts` of the engine's loss function.

    The output may be a dictionary, MONAI's list of them, or the loss itself.

    Raises:
        KeyError: if the output is a dictionary without "loss".
    """
    output = engine.state.output
    if isinstance(output, Sequence) and not isinstance(output, str) and len(output) > 0:
        output = output[0]  # decollated: the loss is repeated for every item
    named = getattr(getattr(engine, "loss_function", None), "parts", {})
    if isinstance(output, Mapping):
        if "loss" not in output:
            raise KeyError(f"the engine's output has no 'loss', only {sorted(map(str, output))}")
        named = output.get("losses", named)
        output = output["loss"]
    return {"loss": _mean(output), **{f"loss_{name}": _mean(value) for name, value in named.items()}}


def _mean(loss: Any) -> Tensor | float:
    # float32, since half precision loses the small terms of a long sum
    return loss.detach().float().mean() if isinstance(loss, Tensor) else float(loss)


def _start_epoch(engine: Engine) -> None:
    engine.state.epoch_losses = {}  # sums by name
    engine.state.epoch_loss_count = 0
    # At the start: a schedule that steps at the end of the epoch would give the next epoch's.
    optimizer = getattr(engine, "optimizer", None)
    engine.state.epoch_learning_rate = None if optimizer is None else float(optimizer.param_groups[0]["lr"])


def _add_iteration(engine: Engine) -> None:
    sums = engine.state.epoch_losses
    for name, loss in losses_of(engine).items():
        sums[name] = sums.get(name, 0.0) + loss
    engine.state.epoch_loss_count += 1


def _finish_epoch(engine: Engine) -> None:
    sums: dict[str, Any] = engine.state.epoch_losses
    figures = [engine.state.epoch_loss_count, *map(float, sums.values())]
    if dist.is_available() and dist.is_initialized():
        total = torch.tensor(figures, dtype=torch.float64, device=getattr(engine.state, "device", "cpu"))
        dist.all_reduce(total)
        figures = total.tolist()
    count, *totals = figures
    for name, value in zip(sums, totals, strict=True):
        engine.state.metrics[name] = value / max(count, 1)
    if engine.state.epoch_learning_rate is not None:
        engine.state.metrics["learning_rate"] = engine.state.epoch_learning_rate
    engine.state.metrics["seconds"] = float(engine.state.times[Events.EPOCH_COMPLETED.name])
