"""Best and last checkpoints, early stopping, and resuming."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from ignite.engine import Engine, Events
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from custom.errors import InputError, MissingFileError, UsageError
from custom.handlers.hooks import is_first_rank, on_epoch_end_after_all
from custom.handlers.items import gather_over_ranks
from custom.inferers.precision import Precision
from custom.options import switch
from custom.weights import load_weights, read_checkpoint, save_checkpoint
from custom.weights.checkpoints import fill_network

__all__ = ["TrainingCheckpoint"]

logger = logging.getLogger(__name__)


class TrainingCheckpoint:
    """Keep the best and the last state of a training, stop when it no longer improves, resume where it ended.

    Attached to the trainer. `output_dir` receives

    - `model.pt`: the weights with the best key metric of the evaluator, a bare state dict of plain tensors;
    - `last.pt`: everything that an interrupted training needs to end with the same weights as an uninterrupted one:
      networks, optimizers and positions in the schedules by name, the random state of each process, best metric, the
      count of early stopping, and the precision. Written at the end of every epoch, after the validation.

    Both are written by rank 0 under a temporary name, then renamed. They hold tensors and plain values only, so that
    `torch.load(..., weights_only=True)` reads them. A resumed training ends with a `model.pt` that can be used: it
    writes it again from `last.pt` if the last epoch was the best, else it needs the one that is there.

    Ignite's `Checkpoint` does not serve here: its `DiskSaver` deletes the file of a fixed name before it writes the
    next, and a schedule that it restores keeps the length and the learning rate of the run before. Its
    `EarlyStopping` reports through a logger of its own that logging.conf cannot set.

    Args:
        output_dir: where the files go.
        networks: what is trained, by name, not wrapped for several processes: `{"network": ...}`, or
            `{"generator": ..., "discriminator": ...}`.
        optimizers: of the training, by name.
        lr_schedulers: of the training, by name; schedules that step without a metric. Like all settings of the
            optimizers they come from the config, so that a resumed training may be longer or slower.
        evaluator: whose `state.best_metric` is watched.
        evaluated: name of the network that the evaluator runs, whose weights become `model.pt`. None: the only one.
        precision: of the training, which a resumed one keeps where `amp` is "auto"; float32 by default.
        patience: how many validations without a better key metric end the training; None never ends it.
        resume: True continues from `last.pt`. Where all epochs are done, or early stopping has ended the training, the
            run ends at once and well. With as many processes as before, each goes on with its own random state;
            further ones begin with that of their seed.

    Raises:
        UsageError: when `evaluated` names no network, or patience is below 1.
    """

    def __init__(
        self,
        output_dir: str | Path,
        networks: Mapping[str, nn.Module],
        optimizers: Mapping[str, Optimizer],
        lr_schedulers: Mapping[str, LRScheduler],
        evaluator: Engine,
        evaluated: str | None = None,
        precision: Precision | None = None,
        patience: int | None = 8,
        resume: bool | str = False,
    ) -> None:
        if evaluated is None and len(networks) == 1:
            evaluated = next(iter(networks))
        if evaluated is None or evaluated not in networks:
            raise UsageError(f"evaluated is {evaluated!r}; name the network to evaluate: {', '.join(networks)}")
        if patience is not None and patience < 1:
            raise UsageError(f"patience is {patience}; give a number of validations, 1 or more, or null")
        self.best = Path(output_dir) / "model.pt"
        self.last = Path(output_dir) / "last.pt"
        self.networks = dict(networks)
        self.optimizers = dict(optimizers)
        self.lr_schedulers = dict(lr_schedulers)
        self.evaluator = evaluator
        self.evaluated = evaluated
        self.precision = precision or Precision(amp=False)
        self.patience = patience
        self.resume = switch("resume", resume)
        self._without_gain = 0

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer.

        Raises:
            MissingFileError: when `resume` finds no `last.pt`.
            UsageError: when `max_epochs` is below 1.
        """
        if self.resume and not self.last.is_file():
            raise MissingFileError(f"{self.last}: not there, so there is no run to resume; leave resume out")
        if engine.state.max_epochs is None or engine.state.max_epochs < 1:
            raise UsageError(f"max_epochs is {engine.state.max_epochs}; give 1 or more")
        engine.add_event_handler(Events.STARTED, self._restore if self.resume else self._forget)
        on_epoch_end_after_all(engine, self._save)

    def _forget(self, engine: Engine) -> None:
        # What an earlier run left must not be resumed or evaluated as if it were of this one.
        if is_first_rank():
            self.best.unlink(missing_ok=True)
            self.last.unlink(missing_ok=True)

    def _save(self, engine: Engine) -> None:
        for name, network in self.networks.items():
            if not all(torch.isfinite(parameter).all() for parameter in network.parameters()):
                raise InputError(
                    f"training stopped: the weights of the {name} are not finite after epoch {engine.state.epoch}; the "
                    "checkpoints before are kept. Go on with --resume true and a smaller --learning_rate"
                )
        state = self.evaluator.state
        if state.best_metric_epoch == engine.state.epoch:
            self._without_gain = 0
            self._save_best()
        elif state.epoch == engine.state.epoch:  # validated in this epoch; there may be epochs without
            self._without_gain += 1
        random_states = gather_over_ranks([torch.get_rng_state()])
        if is_first_rank():
            save_checkpoint(
                {
                    "networks": {name: network.state_dict() for name, network in self.networks.items()},
                    "evaluated": self.evaluated,
                    "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
                    "optimizer_types": self._optimizer_types(),
                    "schedule_positions": {name: schedule.last_epoch for name, schedule in self.lr_schedulers.items()},
                    "epoch": engine.state.epoch,
                    "epoch_length": engine.state.epoch_length,
                    "best_metric": float(state.best_metric),
                    "best_metric_epoch": int(state.best_metric_epoch),
                    "validations_without_gain": self._without_gain,
                    "random_state": torch.stack(random_states),  # of each process
                    "precision": self.precision.state_dict(),
                },
                self.last,
            )
        self._stop_without_gain(engine)

    def _stop_without_gain(self, engine: Engine) -> None:
        if self.patience is not None and self._without_gain >= self.patience:
            logger.info(
                "stopped early: %d validations without a better %s; a larger patience would go on",
                self._without_gain,
                self.evaluator.state.key_metric_name,
            )
            engine.terminate()

    def _optimizer_types(self) -> dict[str, str]:
        return {name: type(optimizer).__name__ for name, optimizer in self.optimizers.items()}

    def _restore(self, engine: Engine) -> None:
        saved = self._with_names(read_checkpoint(self.last))
        try:
            epoch = int(saved["epoch"])
            if saved["epoch_length"] != engine.state.epoch_length:
                raise UsageError(
                    f"{self.last} is of a run with {saved['epoch_length']} iterations an epoch, this one has "
                    f"{engine.state.epoch_length}: resume with the same patches_per_epoch and batch_size"
                )
            if saved.get("optimizer_types", types := self._optimizer_types()) != types:
                raise UsageError(
                    f"{self.last} is of a run with the optimizers {saved['optimizer_types']}, this one has {types}: "
                    "resume with the same"
                )
            for name, network in self.networks.items():
                fill_network(network, saved["networks"][name], self.last)
            for name, optimizer in self.optimizers.items():
                _restore_optimizer(optimizer, saved["optimizers"][name])
            for name, schedule in self.lr_schedulers.items():
                position = saved["schedule_positions"][name]
                if position > epoch * engine.state.epoch_length:
                    raise ValueError(f"{position} steps of a schedule in {epoch} epochs")
                _move_schedule(schedule, position)
            self.evaluator.state.best_metric = saved["best_metric"]
            self.evaluator.state.best_metric_epoch = saved["best_metric_epoch"]
            self._without_gain = saved["validations_without_gain"]
            _restore_random_state(saved["random_state"].cpu())
            self.precision.load_state_dict(saved.get("precision", {}))
        except InputError:
            raise
        except Exception as error:  # a file may hold anything under these names
            raise InputError(f"{self.last}: not a checkpoint of this training ({error}); leave resume out") from error
        if engine.state.max_epochs < epoch:
            raise UsageError(f"{self.last}: {epoch} epochs are done already; give a larger max_epochs to go on")
        engine.state.epoch = epoch
        engine.state.iteration = epoch * engine.state.epoch_length
        self._restore_best(epoch)
        logger.info("resumed after epoch %d of %d", epoch, engine.state.max_epochs)
        # A run may have been stopped between its last checkpoint and its end, which is all that is left to do then.
        self._stop_without_gain(engine)

    def _restore_best(self, epoch: int) -> None:
        """Write the best weights again if they are those of `last.pt`; else check that `model.pt` has them."""
        best_epoch = self.evaluator.state.best_metric_epoch
        if best_epoch == epoch:
            self._save_best()
        elif best_epoch > 0:
            try:
                load_weights(copy.deepcopy(self.networks[self.evaluated]), self.best)
            except InputError as error:
                raise InputError(
                    f"{self.best}: missing, damaged, or of another network. It had the weights of epoch {best_epoch}, "
                    f"the best, which {self.last} of epoch {epoch} does not have: put a copy back, or train on in "
                    f"another --output_dir with --checkpoint {self.last}"
                ) from error

    def _save_best(self) -> None:
        if is_first_rank():
            save_checkpoint(self.networks[self.evaluated].state_dict(), self.best)

    def _with_names(self, saved: dict[str, Any]) -> dict[str, Any]:
        """Give the one network, optimizer and schedule of an older file the names that they have here."""
        if "network" not in saved:
            return saved
        named = {}
        for ours, theirs, objects in (
            ("networks", "network", self.networks),
            ("optimizers", "optimizer", self.optimizers),
            ("schedule_positions", "schedule_position", self.lr_schedulers),
        ):
            named[ours] = dict.fromkeys(objects, saved.get(theirs))
        return {**saved, **named}


def _restore_optimizer(optimizer: Optimizer, saved: dict[str, Any]) -> None:
    """Take over what an optimizer has gathered, and keep its settings."""
    settings = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(saved)
    for group, own in zip(optimizer.param_groups, settings, strict=True):
        group.update(own)


def _restore_random_state(saved: Tensor) -> None:
    """Take over the random state of this process from those of all, `(processes, bytes)`; older files have one."""
    rank = dist.get_rank() if dist.is_initialized() else 0
    states = saved if saved.ndim == 2 else saved[None]
    if rank < len(states):
        torch.set_rng_state(states[rank].clone())  # a view of a larger tensor makes torch crash


def _move_schedule(schedule: LRScheduler, position: int) -> None:
    """Move a new schedule to a position, by the steps and so to the rates of a run that was not interrupted."""
    with warnings.catch_warnings():
        # torch misses the steps of the optimizer, which were done in the run before.
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", UserWarning)
        for _ in range(position - schedule.last_epoch):
            schedule.step()
