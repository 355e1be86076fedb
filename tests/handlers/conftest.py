"""Trainings of a second."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow_reader import Reader
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import PeakSignalToNoiseRatio, ValidationHandler, from_engine

TrainerFactory = Callable[..., SupervisedTrainer]


@pytest.fixture
def output_dir(tmp_path: Path, mlflow_database: Path) -> Path:
    """An output folder with a fresh MLflow database in its default place."""
    folder = tmp_path / "an output folder"  # as people name them, with spaces
    folder.mkdir()
    shutil.copy(mlflow_database, folder / "mlruns.db")
    return folder


@pytest.fixture
def reader(output_dir: Path) -> Iterator[Reader]:
    reader = Reader(output_dir / "mlruns.db")
    yield reader
    reader.store.close()


@pytest.fixture
def batches() -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(3)
    images = [torch.rand(2, 1, 8, 8, generator=generator) for _ in range(4)]
    return [{"image": image, "label": 0.5 * image + 0.1} for image in images]


@pytest.fixture
def make_validator(batches: list[dict[str, torch.Tensor]]) -> Callable[..., SupervisedEvaluator]:
    def make(network: torch.nn.Module, handlers: Sequence[Any] = ()) -> SupervisedEvaluator:
        return SupervisedEvaluator(
            device=torch.device("cpu"),
            val_data_loader=batches[:1],
            network=network,
            key_val_metric={"psnr": PeakSignalToNoiseRatio(1.0, output_transform=from_engine(["pred", "label"]))},
            val_handlers=list(handlers),
        )

    return make


@pytest.fixture
def make_trainer(batches: list[dict[str, torch.Tensor]]) -> TrainerFactory:
    """Make a trainer of a 1x1 convolution over four batches; the validator runs after the other handlers."""

    def make(
        handlers: Sequence[Any] = (),
        max_epochs: int = 3,
        validator: SupervisedEvaluator | None = None,
        network: torch.nn.Module | None = None,
        **options: Any,
    ) -> SupervisedTrainer:
        torch.manual_seed(0)
        network = network or torch.nn.Conv2d(1, 1, 1)
        trainer = SupervisedTrainer(
            device=torch.device("cpu"),
            max_epochs=max_epochs,
            train_data_loader=options.pop("data", batches),
            network=network,
            optimizer=torch.optim.SGD(network.parameters(), lr=options.pop("learning_rate", 0.1)),
            loss_function=options.pop("loss_function", torch.nn.MSELoss()),
            train_handlers=[*handlers, *([ValidationHandler(1, validator)] if validator else [])],
            **options,
        )
        trainer.logger.setLevel(logging.CRITICAL)  # Ignite logs the tracebacks of errors that the tests provoke
        return trainer

    return make
