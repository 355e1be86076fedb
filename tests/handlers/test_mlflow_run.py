"""One MLflow run for one run: what it holds, and how it ends."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest
import torch
from ignite.engine import Events
from mlflow_reader import Reader
from monai.bundle import ConfigParser
from monai.handlers import StatsHandler

from custom.errors import InputError
from custom.handlers.learning_curves import LearningCurves
from custom.handlers.mlflow_run import MLflowMetrics, MLflowRun, flatten_parameters


@pytest.fixture
def run(output_dir: Path) -> MLflowRun:
    return MLflowRun(output_dir, experiment_name="brain")


def test_a_run_holds_the_figures_of_every_epoch(
    make_trainer: Callable[..., Any],
    make_validator: Callable[..., Any],
    output_dir: Path,
    run: MLflowRun,
    reader: Reader,
) -> None:
    network = torch.nn.Conv2d(1, 1, 1)
    validator = make_validator(network, [MLflowMetrics(run, "validation")])
    expected: list[tuple[int, float]] = []
    trainer = make_trainer([MLflowMetrics(run, "train")], 3, validator, network)
    trainer.add_event_handler(
        Events.EPOCH_COMPLETED, lambda engine: expected.append((engine.state.epoch, validator.state.metrics["psnr"]))
    )
    trainer.run()
    (logged,) = reader.runs()
    assert logged.info.status == "FINISHED"
    assert logged.info.end_time is not None
    assert set(logged.data.metrics) == {"train/loss", "train/learning_rate", "train/seconds", "validation/psnr"}
    assert reader.history("validation/psnr") == expected
    assert [step for step, _ in reader.history("train/loss")] == [1, 2, 3]
    assert reader.history("train/loss")[-1][1] == pytest.approx(trainer.state.metrics["loss"])


def test_a_run_holds_parameters_tags_and_files(
    make_trainer: Callable[..., Any], output_dir: Path, reader: Reader, tmp_path: Path
) -> None:
    weights = tmp_path / "models" / "model.pt"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    (output_dir / "pictures").mkdir()
    for name in ("config.json", "pictures/01.png", "other.txt", "unnamed.txt"):
        (output_dir / name).write_text("content")
    (output_dir / "table.md").write_text("| method | psnr |")
    run = MLflowRun(
        output_dir,
        experiment_name="brain",
        run_name="a name",
        parameters={"scale_factor": [4, 4], "network_def": {"_target_": "ESPCN", "features": 64}, "long": "x" * 9000},
        manifest=SimpleNamespace(name="sample", digest="01" * 32),
        resumed=True,
    )
    # The picture of the curves is finished at the end of the training, by a handler that comes after.
    files = ["config.json", "curves.*", "nothing*.png", "table.md", "oth*.txt", "pictures"]
    make_trainer([MLflowMetrics(run, "train", files, weights=[weights]), LearningCurves(output_dir)], 1).run()
    (logged,) = reader.runs()
    assert logged.info.run_name == "a name"
    assert logged.data.params["scale_factor"] == "[4, 4]"
    assert logged.data.params["network_def.features"] == "64"
    assert logged.data.params["version.torch"].startswith(torch.__version__.split("+")[0])
    assert len(logged.data.params["long"]) == 6000
    tags = logged.data.tags
    assert (tags["manifest"], tags["manifest_digest"]) == ("sample", "01" * 32)
    (dataset,) = logged.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("sample", "01" * 6)
    assert tags["resumed"] == "true"
    assert tags["sha256_model.pt"] == hashlib.sha256(b"weights").hexdigest()
    assert tags["mlflow.note.content"] == "| method | psnr |"
    assert reader.artifacts() == {
        "config.json",
        "curves.csv",
        "curves.png",
        "table.md",
        "pictures",
        "model.pt",
        "other.txt",
    }
    assert reader.artifacts("pictures") == {"pictures/01.png"}


@pytest.mark.parametrize("name", [None, "the same name"])
def test_two_runs_are_two_runs(
    make_trainer: Callable[..., Any], output_dir: Path, reader: Reader, name: str | None
) -> None:
    for _ in range(2):
        run = MLflowRun(output_dir, experiment_name="brain", run_name=name)
        make_trainer([MLflowMetrics(run)], max_epochs=2).run()
    first, second = reader.runs()
    assert first.info.run_id != second.info.run_id
    assert (first.info.run_name == second.info.run_name) == (name is not None)
    assert [len(reader.store.client.get_metric_history(r.info.run_id, "train/loss")) for r in (first, second)] == [2, 2]


def test_an_object_that_runs_twice_makes_two_runs(
    make_trainer: Callable[..., Any], run: MLflowRun, reader: Reader
) -> None:
    for _ in range(2):
        make_trainer([MLflowMetrics(run)], max_epochs=1).run()
    assert [logged.info.status for logged in reader.runs()] == ["FINISHED", "FINISHED"]
    assert run.run_id is None


def test_a_running_run_is_left_alone_and_that_of_a_dead_process_ended(
    make_trainer: Callable[..., Any], output_dir: Path, reader: Reader
) -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    experiment = reader.store.experiment.experiment_id
    processes = {
        "dead": f"{socket.gethostname()}/{int(dead.stdout)}",
        "alive": f"{socket.gethostname()}/{os.getppid()}",
        "elsewhere": f"other.host/{int(dead.stdout)}",
    }
    for name, process in processes.items():
        reader.store.client.create_run(experiment, run_name=name, tags={"process": process})
    reader.store.client.create_run(experiment, run_name="mine")
    make_trainer([MLflowMetrics(MLflowRun(output_dir, experiment_name="brain", run_name="mine"))], 1).run()
    ends = [(logged.info.run_name, logged.info.status) for logged in reader.runs()]
    assert sorted(ends[:-1]) == [
        ("alive", "RUNNING"),
        ("dead", "KILLED"),
        ("elsewhere", "RUNNING"),
        ("mine", "RUNNING"),
    ]
    assert ends[-1] == ("mine", "FINISHED")


def raise_in_epoch(epoch: int, error: BaseException) -> Callable[[Any], None]:
    def handler(engine: Any) -> None:
        if engine.state.epoch == epoch:
            raise error

    return handler


@pytest.mark.parametrize(
    ("error", "status"),
    [(InputError("the disk is full"), "FAILED"), (KeyboardInterrupt(), "KILLED"), (SystemExit(1), "FAILED")],
)
@pytest.mark.parametrize("event", [Events.ITERATION_COMPLETED, Events.EPOCH_COMPLETED, Events.STARTED])
def test_a_run_that_breaks_off_says_so_and_keeps_what_there_is(
    make_trainer: Callable[..., Any], output_dir: Path, run: MLflowRun, reader: Reader,
    error: BaseException, status: str, event: Events,
) -> None:  # fmt: skip
    (output_dir / "config.json").write_text("{}")
    # MONAI's handler raises again itself, after which Ignite asks no other: it must not matter.
    metrics = MLflowMetrics(run, "train", ["config.json"])
    trainer = make_trainer([StatsHandler(name="quiet", output_transform=lambda _: None), metrics])
    trainer.add_event_handler(event, raise_in_epoch(0 if event == Events.STARTED else 2, error))
    with pytest.raises(type(error)) as caught:
        trainer.run()
    assert caught.value is error
    (logged,) = reader.runs()
    assert logged.info.status == status
    assert logged.data.tags["ended_by"].startswith(type(error).__name__)
    assert reader.artifacts() == {"config.json"}
    assert len(reader.history("train/loss")) == (0 if event == Events.STARTED else 1)


def test_an_error_in_the_validation_ends_the_run_of_the_training(
    make_trainer: Callable[..., Any], make_validator: Callable[..., Any], run: MLflowRun, reader: Reader
) -> None:
    network = torch.nn.Conv2d(1, 1, 1)
    validator = make_validator(network, [MLflowMetrics(run, "validation")])
    validator.logger.disabled = True
    validator.add_event_handler(Events.ITERATION_COMPLETED, raise_in_epoch(2, ValueError("no image")))
    with pytest.raises(ValueError, match="no image"):
        make_trainer([MLflowMetrics(run)], 3, validator, network).run()
    assert [logged.info.status for logged in reader.runs()] == ["FAILED"]
    assert [step for step, _ in reader.history("validation/psnr")] == [1]


def test_a_training_that_is_stopped_early_is_finished(
    make_trainer: Callable[..., Any], run: MLflowRun, reader: Reader
) -> None:
    trainer = make_trainer([MLflowMetrics(run)], max_epochs=5)
    trainer.add_event_handler(Events.EPOCH_COMPLETED(once=2), lambda engine: engine.terminate())
    trainer.run()
    assert reader.runs()[0].info.status == "FINISHED"
    assert len(reader.history("train/loss")) == 2


def test_an_evaluation_alone_is_a_run(make_validator: Callable[..., Any], run: MLflowRun, reader: Reader) -> None:
    make_validator(torch.nn.Conv2d(1, 1, 1), [MLflowMetrics(run, "test")]).run()
    (logged,) = reader.runs()
    assert logged.info.status == "FINISHED"
    assert set(logged.data.metrics) == {"test/psnr"}


def test_the_environment_variable_wins(
    make_trainer: Callable[..., Any], output_dir: Path, tmp_path: Path, mlflow_database: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    other = tmp_path / "other.db"
    other.write_bytes(mlflow_database.read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}")
    before = (output_dir / "mlruns.db").read_bytes()
    run = MLflowRun(output_dir, f"sqlite:///{output_dir}/mlruns.db", "brain")
    make_trainer([MLflowMetrics(run)], max_epochs=1).run()
    reader = Reader(other)
    assert len(reader.runs()) == 1
    reader.store.close()
    assert (output_dir / "mlruns.db").read_bytes() == before


def test_a_store_that_goes_away_does_not_end_the_training(
    make_trainer: Callable[..., Any], run: MLflowRun, reader: Reader, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    trainer = make_trainer([MLflowMetrics(run)], max_epochs=3)
    log_batch = mlflow.MlflowClient.log_batch

    def gone_in_epoch_two(client: Any, run_id: str, metrics: Any = (), **others: Any) -> None:
        if metrics and trainer.state.epoch == 2:
            raise ConnectionError("no route to host")
        log_batch(client, run_id, metrics=metrics, **others)

    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", gone_in_epoch_two)
    trainer.run()
    assert "no route to host" in caplog.text
    assert [step for step, _ in reader.history("train/loss")] == [1, 2, 3]
    assert reader.runs()[0].info.status == "FINISHED"


def test_other_ranks_log_nothing_and_nothing_is_opened_before_the_run(
    make_trainer: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer([MLflowMetrics(MLflowRun(tmp_path / "output"))], max_epochs=1)
    assert not (tmp_path / "output").exists()
    monkeypatch.setattr("custom.handlers.mlflow_run.is_first_rank", lambda: False)
    trainer.run()
    assert trainer.state.iteration == 4
    assert not (tmp_path / "output").exists()


def test_a_config_shares_one_run_between_its_engines(output_dir: Path) -> None:
    parser = ConfigParser(
        {
            "mlflow_run": {"_target_": "custom.handlers.mlflow_run.MLflowRun", "output_dir": str(output_dir)},
            "train": {"_target_": "custom.handlers.mlflow_run.MLflowMetrics", "run": "@mlflow_run"},
            "test": {"_target_": "custom.handlers.mlflow_run.MLflowMetrics", "run": "@mlflow_run", "prefix": "test"},
        }
    )
    assert parser.get_parsed_content("train").run is parser.get_parsed_content("test").run


def test_parameters_are_the_plain_values_of_a_config() -> None:
    config = {
        "_meta_": {"version": "1"},
        "imports": ["$import glob"],
        "seed": 0,
        "amp": False,
        "checkpoint": None,
        "device": "$torch.device('cpu')",
        "train": {"trainer": {"max_epochs": "@max_epochs", "amp": True}, "handlers": [{"_target_": "A"}]},
        "scale_factor": (4, 4),
        "run": ["$@train::trainer.run()"],
        "loss#weight": 1e-3,
        "folder": Path("/data"),
    }
    assert flatten_parameters(config) == {
        "seed": "0",
        "amp": "False",
        "checkpoint": "None",
        "device": "$torch.device('cpu')",
        "train.trainer.amp": "True",
        "scale_factor": "[4, 4]",
        "loss_weight": "0.001",
        "folder": "/data",
    }


def test_more_parameters_than_a_request_takes_are_logged(
    make_trainer: Callable[..., Any], output_dir: Path, reader: Reader
) -> None:
    run = MLflowRun(output_dir, experiment_name="brain", parameters={f"p{i}": i for i in range(250)})
    make_trainer([MLflowMetrics(run)], max_epochs=1).run()
    assert reader.runs()[0].data.params.items() >= {f"p{i}": str(i) for i in range(250)}.items()
