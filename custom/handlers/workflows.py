"""The handlers that the engines of every bundle have, gathered into one for training and one for evaluating.

An overlay adds others beside them, for example by `"+train#handlers": [{"_target_": "StatsHandler"}]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from monai.handlers import LrScheduleHandler, ValidationHandler
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from custom.handlers.checkpoint import TrainingCheckpoint
from custom.handlers.hooks import hold_during_run, is_first_rank
from custom.handlers.learning_curves import LearningCurves
from custom.handlers.mlflow_run import MLflowMetrics, MLflowRun
from custom.handlers.nan_guard import NanGuard
from custom.handlers.progress import Progress
from custom.options import switch
from custom.run import Run
from custom.run_info import write_config
from custom.scans import check_output_dir
from custom.storage import lock_folder, unlock_folder

__all__ = ["EvaluatingHandlers", "TrainingHandlers", "check_evaluating_output", "check_training_output"]


class TrainingHandlers:
    """All handlers of a training, in the order in which they have to be attached; attach this one to the trainer.

    `NanGuard`, the learning rate schedules, validation, `LearningCurves`, `Progress`, `MLflowMetrics` for the trainer
    and for the validation, and `TrainingCheckpoint`. `output_dir` receives their files, and the config of the run as
    `training_config.json`; while the trainer runs, no other process can train into it.

    Args:
        run: the run of the command.
        output_dir: where the files go.
        networks: as for `TrainingCheckpoint`, as are the next two and `evaluated`.
        optimizers: of the training, by name.
        lr_schedulers: of the training, by name; each makes a step at the end of each epoch.
        evaluator: the engine of the validation.
        tracking: the MLflow run.
        val_interval: a validation every so many epochs.
        patience: how many validations without a better key metric end the training; None never ends it.
        resume: True continues from `last.pt`.
        evaluated: name of the network that the evaluator runs; None: the only one.
    """

    def __init__(
        self,
        run: Run,
        output_dir: str | Path,
        networks: Mapping[str, nn.Module],
        optimizers: Mapping[str, Optimizer],
        lr_schedulers: Mapping[str, LRScheduler],
        evaluator: Engine,
        tracking: MLflowRun,
        val_interval: int = 1,
        patience: int | None = 8,
        resume: bool | str = False,
        evaluated: str | None = None,
    ) -> None:
        self.run = run
        self.output_dir = output_dir
        self.evaluator = evaluator
        self.tracking = tracking
        self.handlers: list[Any] = [
            NanGuard(),
            *(LrScheduleHandler(schedule, print_lr=False) for schedule in lr_schedulers.values()),
            ValidationHandler(val_interval, evaluator),
            LearningCurves(output_dir, evaluator),
            Progress(evaluator),
            MLflowMetrics(
                tracking, "train", ["training_config.json", "curves.csv", "curves.png"], weights=["model.pt"]
            ),
            # Last, so that an epoch with a checkpoint has its row in the curves, however the run ends.
            TrainingCheckpoint(
                output_dir,
                networks,
                optimizers,
                lr_schedulers,
                evaluator,
                evaluated=evaluated,
                precision=run.precision,
                patience=patience,
                resume=resume,
            ),
        ]

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer, and to the evaluator what it needs."""
        MLflowMetrics(self.tracking, "validation").attach(self.evaluator)
        for handler in self.handlers:
            handler.attach(engine)
        # After the checkpoint, which refuses a run that cannot be resumed.
        engine.add_event_handler(Events.STARTED, self._write_config)
        hold_during_run(engine, self._lock)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        if not is_first_rank():
            yield
            return
        lock_folder(self.output_dir)
        try:
            yield
        finally:
            unlock_folder(self.output_dir)

    def _write_config(self, engine: Engine) -> None:
        if is_first_rank():
            write_config(self.run.config, self.output_dir, "training_config.json")


class EvaluatingHandlers:
    """The handlers of evaluating that show and record; attach this one after those that measure.

    `Progress` and `MLflowMetrics`. `output_dir` receives the config of the run as `config.json`. The MLflow run
    receives that and what the tables and pictures of this package write.

    Args:
        run: the run of the command.
        output_dir: where the files go.
        weights: the file of the weights that are evaluated.
        tracking: the MLflow run.
    """

    def __init__(self, run: Run, output_dir: str | Path, weights: str | Path, tracking: MLflowRun) -> None:
        self.run = run
        self.output_dir = output_dir
        files = ["config.json", "metrics.csv", "summary.json", "table.md", "cine.*", "pictures"]
        self.handlers: list[Any] = [
            Progress(description="evaluating"),
            MLflowMetrics(tracking, "test", files, weights=[weights]),
        ]

    def attach(self, engine: Engine) -> None:
        """Attach to the evaluator."""
        for handler in self.handlers:
            handler.attach(engine)
        engine.add_event_handler(Events.STARTED, self._write_config)

    def _write_config(self, engine: Engine) -> None:
        if is_first_rank():
            write_config(self.run.config, self.output_dir)


def check_training_output(output_dir: str | Path, overwrite: bool | str = False, resume: bool | str = False) -> None:
    """Check, before anything is read, that a training may write to a folder, and lock it for other processes.

    Raises:
        InputError: if it cannot be written to, if it holds a training that is neither to be overwritten nor resumed,
            or if another process is training into it.
        UsageError: if `overwrite` or `resume` is neither true nor false.
    """
    allowed = [switch("overwrite", overwrite), switch("resume", resume)]
    check_output_dir(output_dir, any(allowed), ["model.pt", "last.pt"])
    if is_first_rank():
        lock_folder(output_dir)


def check_evaluating_output(output_dir: str | Path, overwrite: bool | str = False) -> None:
    """Check, before anything is read, that evaluating may write to a folder.

    Raises:
        InputError: if it cannot be written to, or holds figures that are not to be overwritten.
        UsageError: if `overwrite` is neither true nor false.
    """
    check_output_dir(output_dir, overwrite, ["metrics.csv", "summary.json"])
