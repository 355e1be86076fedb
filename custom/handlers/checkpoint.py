"""Best and last checkpoints, early stopping, and resuming."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from custom.errors import InputError, MissingFileError, UsageError
from custom.handlers.hooks import is_first_rank
from custom.inferers.precision import automatic_precision, use_precision
from custom.weights.checkpoints import load_weights, read_checkpoint, save_checkpoint

__all__ = ["TrainingCheckpoint"]

logger = logging.getLogger(__name__)


class TrainingCheckpoint:
    """Keep the best and the last state of a training, stop when it no longer improves, resume where it ended.

    Attached to the trainer, after the validation handler. `output_dir` receives

    - `model.pt`: the network with the best key metric of the evaluator (higher is better), a bare state dict;
    - `last.pt`: all that an interrupted training needs to end with the same weights as an uninterrupted one: network,
      optimizer, position in the schedule, random state, best metric, the count of early stopping, and the precision
      that `amp` "auto" has chosen. Written after every epoch.

    Both are written by rank 0 under a temporary name first.

    Args:
        output_dir: where the files go.
        network: what is trained, not wrapped for several processes.
        optimizer: of the training.
        lr_scheduler: of the training; its length and learning rate come from the config, so that a resumed run may be
            longer or slower.
        evaluator: whose `state.best_metric` is watched.
        patience: how many validations without a better key metric end the training; None never ends it.
        resume: True continues from `last.pt`.
    """

    def __init__(
        self,
        output_dir: str | Path,
        network: nn.Module,
        optimizer: Optimizer,
        lr_scheduler: LRScheduler,
        evaluator: Engine,
        patience: int | None = 8,
        resume: bool = False,
    ) -> None:
        self.best = Path(output_dir) / "model.pt"
        self.last = Path(output_dir) / "last.pt"
        self.network = network
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.evaluator = evaluator
        self.patience = patience
        self.resume = resume
        self._validations = 0
        self._without_gain = 0

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer.

        Raises:
            MissingFileError: when `resume` finds no `last.pt`.
        """
        if self.resume:
            if not self.last.is_file():
                raise MissingFileError(f"{self.last}: not there, so there is no run to resume; leave resume out")
            engine.add_event_handler(Events.STARTED, self._restore)
        else:
            engine.add_event_handler(Events.STARTED, self._forget)
        if engine.state.max_epochs is None or engine.state.max_epochs < 1:
            raise UsageError(f"max_epochs is {engine.state.max_epochs}; give 1 or more")
        self.evaluator.add_event_handler(Events.EPOCH_COMPLETED, self._validated)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._save)

    def _forget(self, engine: Engine) -> None:
        # What an earlier run left must not be resumed or evaluated as if it were of this one.
        if is_first_rank():
            self.best.unlink(missing_ok=True)
            self.last.unlink(missing_ok=True)

    def _validated(self, engine: Engine) -> None:
        self._validations += 1

    def _save(self, engine: Engine) -> None:
        if not all(torch.isfinite(parameter).all() for parameter in self.network.parameters()):
            raise InputError(
                f"training stopped: the weights are not finite after epoch {engine.state.epoch}; the checkpoints "
                "before are kept. Go on with --resume true and a smaller --learning_rate"
            )
        state = self.evaluator.state
        if self._validations:
            self._validations = 0
            if state.best_metric_epoch == engine.state.epoch:
                self._without_gain = 0
                if is_first_rank():
                    save_checkpoint(self.network.state_dict(), self.best)
            else:
                self._without_gain += 1
        if is_first_rank():
            save_checkpoint(
                {
                    "network": self.network.state_dict(),
                    "optimizer": self.optimizer.state_dict(),
                    "schedule_position": self.lr_scheduler.last_epoch,
                    "epoch": engine.state.epoch,
                    "epoch_length": engine.state.epoch_length,
                    "best_metric": float(state.best_metric),
                    "best_metric_epoch": int(state.best_metric_epoch),
                    "validations_without_gain": self._without_gain,
                    "random_state": torch.get_rng_state(),
                    "precision": automatic_precision(),
                },
                self.last,
            )
        if self.patience is not None and self._without_gain >= self.patience:
            logger.info("stopped early: %d validations without a better %s", self.patience, state.key_metric_name)
            engine.terminate()

    def _set_schedule(self, rates: list[float], position: int) -> None:
        """Move the schedule of this config, with its length and its learning rate, to a position."""
        schedule = self.lr_scheduler
        schedule.last_epoch = position
        if isinstance(schedule, LambdaLR):
            now = [rate * shape(position) for rate, shape in zip(rates, schedule.lr_lambdas, strict=True)]
        else:
            closed_form = getattr(schedule, "_get_closed_form_lr", None)
            now = closed_form() if closed_form else [group["lr"] for group in self.optimizer.param_groups]
        for group, rate, lr in zip(self.optimizer.param_groups, rates, now, strict=True):
            group.update(initial_lr=rate, lr=lr)

    def _restore(self, engine: Engine) -> None:
        saved: dict[str, Any] = read_checkpoint(self.last)
        try:
            epoch = int(saved["epoch"])
            if saved["epoch_length"] != engine.state.epoch_length:
                raise UsageError(
                    f"{self.last} is of a run with {saved['epoch_length']} iterations an epoch, this one has "
                    f"{engine.state.epoch_length}: resume with the same patches_per_epoch and batch_size"
                )
            load_weights(self.network, self.last)
            rates = [group["initial_lr"] for group in self.optimizer.param_groups]
            self.optimizer.load_state_dict(saved["optimizer"])
            self._set_schedule(rates, saved["schedule_position"])
            self.evaluator.state.best_metric = saved["best_metric"]
            self.evaluator.state.best_metric_epoch = saved["best_metric_epoch"]
            self._without_gain = saved["validations_without_gain"]
            torch.set_rng_state(saved["random_state"].cpu())
            use_precision(saved.get("precision", {}))
        except (KeyError, TypeError, RuntimeError) as error:
            raise InputError(f"{self.last}: not a checkpoint of this training ({error}); leave resume out") from error
        if engine.state.max_epochs <= epoch:
            raise UsageError(f"{self.last}: {epoch} epochs are done already; give a larger max_epochs to go on")
        engine.state.epoch = epoch
        engine.state.iteration = epoch * engine.state.epoch_length
        logger.info("resumed after epoch %d", epoch)
