"""The table and the picture of a training's epochs."""

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
from custom.handlers.learning_curves import LearningCurves
from custom.losses import WeightedSum


def read(folder: Path) -> list[dict[str, str]]:
    with (folder / "curves.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def resume_at(epoch: int) -> Callable[[Engine], None]:
    def restore(engine: Engine) -> None:
        engine.state.epoch = epoch
        engine.state.iteration = epoch * engine.state.epoch_length

    return restore


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


def test_losses_with_names_have_columns_and_lines_of_their_own(
    make_trainer: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = WeightedSum({"l1": torch.nn.L1Loss(), "mse": torch.nn.MSELoss()}, {"l1": 2.0, "mse": 0.5})
    drawn: list[Figure] = []
    monkeypatch.setattr(learning_curves, "Figure", lambda **options: drawn.append(Figure(**options)) or drawn[-1])
    make_trainer([LearningCurves(tmp_path)], 3, loss_function=loss).run()
    rows = [{name: float(value) for name, value in row.items()} for row in read(tmp_path)]
    assert list(rows[0]) == ["epoch", "loss", "loss_l1", "loss_mse", "learning_rate", "seconds"]
    for row in rows:
        assert row["loss"] == pytest.approx(2 * row["loss_l1"] + 0.5 * row["loss_mse"], rel=1e-5)
    lines = {line.get_label(): list(line.get_ydata()) for line in drawn[-1].axes[0].get_lines()}
    assert lines["mse"] == pytest.approx([row["loss_mse"] for row in rows], rel=1e-6)
    assert set(lines) == {"loss", "l1", "mse"}


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


def test_a_training_that_is_resumed_after_its_last_epoch_is_drawn(
    make_trainer: Callable[..., Any], tmp_path: Path
) -> None:
    make_trainer([LearningCurves(tmp_path)], max_epochs=2).run()
    before = read(tmp_path)
    (tmp_path / "curves.png").unlink()  # stopped before it was drawn
    resumed = make_trainer([LearningCurves(tmp_path)], max_epochs=2)
    resumed.add_event_handler(Events.STARTED, resume_at(2))
    resumed.run()
    assert read(tmp_path) == before
    assert (tmp_path / "curves.png").is_file()


def test_a_new_training_begins_a_new_table(make_trainer: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "curves.csv").write_text("no table at all")
    make_trainer([LearningCurves(tmp_path)], max_epochs=1).run()
    assert [row["epoch"] for row in read(tmp_path)] == ["1"]


@pytest.mark.parametrize(
    "text", ["", "loss,seconds\n1,2\n", "epoch,loss\n1,many\n", "epoch,loss\n", "epoch,loss\n1,0.12", "epoch,loss\n1"]
)
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
    curves = LearningCurves(tmp_path)
    curves.png_interval_s = 3600.0
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
    curves = LearningCurves(tmp_path)
    curves.png_interval_s = 0.0
    make_trainer([curves], max_epochs=2).run()
    assert len(pictures) == 2


def test_the_picture_shows_the_last_epoch_before_an_error(make_trainer: Callable[..., Any], tmp_path: Path) -> None:
    curves = LearningCurves(tmp_path)
    curves.png_interval_s = 3600.0
    trainer = make_trainer([curves], max_epochs=5)
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
