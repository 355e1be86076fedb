"""The table and the picture of a training's epochs, and the figures they rest on."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from matplotlib.figure import Figure
from monai.handlers import LrScheduleHandler
from PIL import Image

from custom.errors import InputError
from custom.handlers import learning_curves
from custom.handlers.epoch_loss import EpochLoss, loss_of
from custom.handlers.learning_curves import LearningCurves


def read(folder: Path) -> list[dict[str, str]]:
    with (folder / "curves.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def resume_at(epoch: int) -> Callable[[Engine], None]:
    def restore(engine: Engine) -> None:
        engine.state.epoch = epoch
        engine.state.iteration = epoch * engine.state.epoch_length

    return restore


@pytest.mark.parametrize("decollate", [True, False])
def test_loss_of_an_epoch_is_the_mean_over_its_iterations(make_trainer: Callable[..., Any], decollate: bool) -> None:
    losses: list[float] = []
    trainer = make_trainer([EpochLoss(), EpochLoss()], max_epochs=2, decollate=decollate)
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: losses.append(float(loss_of(engine.state.output)))
    )
    trainer.run()
    assert len(losses) == 8
    assert trainer.state.metrics["loss"] == pytest.approx(np.mean(losses[4:]), rel=1e-6)
    assert trainer.state.metrics["seconds"] > 0


def test_loss_of_an_epoch_is_the_mean_over_all_processes(
    make_trainer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def add_another_process(sums: torch.Tensor) -> None:
        sums += torch.tensor([3.0, 4.0])  # four iterations with losses that sum to 3

    alone = make_trainer([EpochLoss()], max_epochs=1)
    alone.run()
    torch.distributed.init_process_group("gloo", f"file://{tmp_path}/store", world_size=1, rank=0)
    try:
        monkeypatch.setattr(torch.distributed, "all_reduce", add_another_process)
        together = make_trainer([EpochLoss()], max_epochs=1)
        together.run()
    finally:
        torch.distributed.destroy_process_group()
    assert together.state.metrics["loss"] == pytest.approx((4 * alone.state.metrics["loss"] + 3) / 8)


def test_an_output_without_loss_is_an_error() -> None:
    with pytest.raises(KeyError, match=r"no 'loss', only \['pred'\]"):
        loss_of([{"pred": torch.zeros(1)}])


def test_every_epoch_has_a_row_with_the_figures_of_that_epoch(
    make_trainer: Callable[..., Any], make_validator: Callable[..., Any], tmp_path: Path
) -> None:
    network = torch.nn.Conv2d(1, 1, 1)
    validator = make_validator(network)
    figures: list[tuple[float, float]] = []
    # Attached before the validation handler, and still the row holds this epoch's validation.
    trainer = make_trainer([LearningCurves(tmp_path, validator)], 3, validator, network)
    schedule = torch.optim.lr_scheduler.StepLR(trainer.optimizer, step_size=1, gamma=0.5)
    LrScheduleHandler(schedule, print_lr=False).attach(trainer)
    trainer.add_event_handler(
        Events.EPOCH_COMPLETED,
        lambda engine: figures.append((engine.state.metrics["loss"], validator.state.metrics["psnr"])),
    )
    trainer.run()
    rows = read(tmp_path)
    assert list(rows[0]) == ["epoch", "loss", "learning_rate", "validation_psnr", "seconds"]
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx([0.1, 0.05, 0.025])
    written = [(float(row["loss"]), float(row["validation_psnr"])) for row in rows]
    assert np.array(written) == pytest.approx(np.array(figures), rel=1e-6)


def test_epochs_without_validation_leave_its_columns_empty(
    make_trainer: Callable[..., Any], make_validator: Callable[..., Any], tmp_path: Path
) -> None:
    network = torch.nn.Conv2d(1, 1, 1)
    validator = make_validator(network)
    trainer = make_trainer([LearningCurves(tmp_path, validator)], 4, network=network)
    trainer.add_event_handler(Events.EPOCH_COMPLETED(every=2), lambda engine: validator.run(engine.state.epoch))
    trainer.run()
    assert [bool(row["validation_psnr"]) for row in read(tmp_path)] == [False, True, False, True]


def test_a_resumed_training_goes_on_in_the_same_table(make_trainer: Callable[..., Any], tmp_path: Path) -> None:
    make_trainer([LearningCurves(tmp_path)], max_epochs=4).run()
    before = read(tmp_path)
    resumed = make_trainer([LearningCurves(tmp_path)], max_epochs=5, learning_rate=0.01)
    resumed.add_event_handler(Events.STARTED, resume_at(2))  # after LearningCurves, as a checkpoint may be
    resumed.run()
    after = read(tmp_path)
    assert [row["epoch"] for row in after] == ["1", "2", "3", "4", "5"]
    assert after[:2] == before[:2]
    assert [row["learning_rate"] for row in after] == ["0.1", "0.1", "0.01", "0.01", "0.01"]


def test_a_new_training_begins_a_new_table(make_trainer: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "curves.csv").write_text("no table at all")
    make_trainer([LearningCurves(tmp_path)], max_epochs=1).run()
    assert [row["epoch"] for row in read(tmp_path)] == ["1"]


@pytest.mark.parametrize("text", ["loss,seconds\n1,2\n", "epoch,loss\n1,many\n"])
def test_a_table_that_cannot_be_continued_is_named(make_trainer: Callable[..., Any], tmp_path: Path, text: str) -> None:
    (tmp_path / "curves.csv").write_text(text)
    trainer = make_trainer([LearningCurves(tmp_path)], max_epochs=3)
    trainer.add_event_handler(Events.STARTED, resume_at(1))
    with pytest.raises(InputError, match=r"curves\.csv: not a table of learning curves"):
        trainer.run()


@pytest.mark.parametrize("validated", [True, False])
def test_the_picture_shows_something_in_each_panel(
    make_trainer: Callable[..., Any], make_validator: Callable[..., Any], tmp_path: Path, validated: bool
) -> None:
    network = torch.nn.Conv2d(1, 1, 1)
    validator = make_validator(network) if validated else None
    make_trainer([LearningCurves(tmp_path, validator)], 3, validator, network).run()
    pixels = np.asarray(Image.open(tmp_path / "curves.png").convert("RGB")).astype(int)
    blue = (pixels[..., 2] - pixels[..., 0]) > 60
    orange = (pixels[..., 0] - pixels[..., 2]) > 60
    assert blue.sum() > 100
    assert (orange.sum() > 100) == validated
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.csv", "curves.png"]


def test_the_picture_is_drawn_at_the_start_and_the_end_but_not_in_between(
    make_trainer: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curves = LearningCurves(tmp_path, png_interval_s=3600.0)
    drawn: list[int] = []
    draw = curves._draw
    monkeypatch.setattr(curves, "_draw", lambda: (drawn.append(len(read(tmp_path))), draw()))
    make_trainer([curves], max_epochs=5).run()
    assert drawn == [1, 5]


def test_a_picture_of_the_last_epoch_is_not_drawn_again_at_the_end(
    make_trainer: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures: list[Figure] = []
    monkeypatch.setattr(learning_curves, "Figure", lambda **options: pictures.append(Figure(**options)) or pictures[-1])
    make_trainer([LearningCurves(tmp_path, png_interval_s=0.0)], max_epochs=2).run()
    assert len(pictures) == 2


def test_the_picture_shows_the_last_epoch_before_an_error(make_trainer: Callable[..., Any], tmp_path: Path) -> None:
    trainer = make_trainer([LearningCurves(tmp_path, png_interval_s=3600.0)], max_epochs=5)
    after_first: list[bytes] = []

    def fail(engine: Engine) -> None:
        after_first.append((tmp_path / "curves.png").read_bytes())
        if engine.state.epoch == 4:
            raise KeyboardInterrupt

    trainer.add_event_handler(Events.EPOCH_STARTED(every=2), fail)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert after_first[0] == after_first[1] != (tmp_path / "curves.png").read_bytes()


def test_other_ranks_write_nothing(
    make_trainer: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("custom.handlers.learning_curves.is_first_rank", lambda: False)
    make_trainer([LearningCurves(tmp_path)], max_epochs=1).run()
    assert list(tmp_path.iterdir()) == []
