from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow_reader import Reader

from custom.errors import InputError, UsageError
from custom.handlers import checkpoint
from custom.handlers.mlflow_run import MLflowRun
from custom.handlers.workflows import (
    EvaluatingHandlers,
    TrainingHandlers,
    check_evaluating_output,
    check_training_output,
)
from custom.run import Run


@pytest.fixture
def train(output_dir: Path, make_trainer: Callable[..., Any], make_validator: Callable[..., Any]) -> Callable[..., Any]:
    """Train a convolution for some epochs, with nothing attached but `TrainingHandlers`."""

    def run(max_epochs: int, **options: Any) -> Any:
        network = torch.nn.Conv2d(1, 1, 1)
        trainer = make_trainer([], max_epochs, network=network)
        validator = make_validator(network)
        TrainingHandlers(
            Run(),
            output_dir,
            {"network": network},
            {"network": trainer.optimizer},
            {"network": torch.optim.lr_scheduler.StepLR(trainer.optimizer, 1)},
            validator,
            MLflowRun(output_dir, experiment_name="brain"),
            **options,
        ).attach(trainer)
        trainer.run()
        return trainer, validator

    return run


def test_a_training_is_validated_kept_and_recorded(train: Callable[..., Any], output_dir: Path, reader: Reader) -> None:
    trainer, validator = train(4, val_interval=2)
    files = {"training_config.json", "curves.csv", "curves.png"}
    others = {"model.pt", "last.pt", "mlruns.db", ".lock"}
    assert {path.name for path in output_dir.iterdir() if path.is_file()} == files | others
    assert json.loads((output_dir / "training_config.json").read_text()) == {}
    assert validator.state.epoch == 4
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 0.1**4)
    assert [step for step, _ in reader.history("validation/psnr")] == [2, 4]
    assert [step for step, _ in reader.history("train/loss")] == [1, 2, 3, 4]
    assert reader.artifacts() == files | {"model.pt"}


def test_a_training_that_cannot_be_resumed_leaves_what_is_there(train: Callable[..., Any], output_dir: Path) -> None:
    train(2)
    (output_dir / "training_config.json").write_text("of the first run")
    with pytest.raises(UsageError, match="larger max_epochs"):
        train(1, resume="true")
    assert (output_dir / "training_config.json").read_text() == "of the first run"
    train(3, resume="true")
    assert (output_dir / "training_config.json").read_text() != "of the first run"


def test_an_epoch_with_a_checkpoint_has_its_row_in_the_curves(
    train: Callable[..., Any], output_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: dict[int, int] = {}

    def save(content: dict[str, Any], path: Path) -> None:
        if path.name == "last.pt":
            rows[content["epoch"]] = len((output_dir / "curves.csv").read_text().splitlines()) - 1

    monkeypatch.setattr(checkpoint, "save_checkpoint", save)
    train(3)
    assert rows == {1: 1, 2: 2, 3: 3}


def lock_in_another_process(folder: Path) -> str:
    """Return the end of what is said when another process locks a folder; "" where it may."""
    code = f"from custom.storage import lock_folder; lock_folder({str(folder)!r})"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr[-400:]


def test_no_other_process_trains_into_the_same_folder(
    train: Callable[..., Any], output_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_training_output(output_dir)
    assert "another process is writing into this folder" in lock_in_another_process(output_dir)
    seen: list[str] = []
    monkeypatch.setattr(checkpoint, "save_checkpoint", lambda *_: seen.append(lock_in_another_process(output_dir)))
    train(1)
    assert all("another process is writing into this folder" in words for words in seen)
    assert seen
    assert lock_in_another_process(output_dir) == ""


def test_evaluating_is_recorded(make_validator: Callable[..., Any], output_dir: Path, reader: Reader) -> None:
    for name in ("table.md", "cine.csv", "curves.csv", "weights.pt"):
        (output_dir / name).write_text(name)
    handlers = EvaluatingHandlers(
        Run(), output_dir, output_dir / "weights.pt", MLflowRun(output_dir, experiment_name="brain")
    )
    make_validator(torch.nn.Conv2d(1, 1, 1), [handlers]).run()
    assert json.loads((output_dir / "config.json").read_text()) == {}
    assert reader.artifacts() == {"config.json", "table.md", "cine.csv", "weights.pt"}
    assert len(reader.history("test/psnr")) == 1


def test_folders_with_results_are_refused_unless_they_are_to_be_overwritten_or_resumed(tmp_path: Path) -> None:
    check_training_output(tmp_path / "new")
    assert (tmp_path / "new").is_dir()
    (tmp_path / "last.pt").touch()
    (tmp_path / "summary.json").touch()
    for allowed in ({"overwrite": "true"}, {"resume": "true"}, {"overwrite": "false", "resume": True}):
        check_training_output(tmp_path, **allowed)  # type: ignore[arg-type]
    check_evaluating_output(tmp_path, "true")
    for check in (check_training_output, check_evaluating_output):
        with pytest.raises(InputError, match="holds results already"):
            check(tmp_path, "false")
