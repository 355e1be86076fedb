"""Training, whichever bundle: what it leaves, exact repetition and resuming, early stopping."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bundle_cases import CASES, BundleCase, Command, same_weights, table, weights

from custom.engines import FamilyPairs
from custom.inferers import Precision
from custom.weights import read_checkpoint


def test_training_leaves_weights_curves_and_the_config(trained: Path) -> None:
    assert {"model.pt", "last.pt", "curves.csv", "curves.png", "training_config.json"} <= {
        p.name for p in trained.iterdir()
    }
    rows = table(trained / "curves.csv")
    assert [row["epoch"] for row in rows] in (["1", "2"], ["1.0", "2.0"])
    assert all(float(row["validation_psnr"]) > 10 for row in rows)


@pytest.mark.parametrize(("name", "overlay"), [(case.name, overlay) for case in CASES for overlay in case.overlays])
def test_overlays_train(
    run_bundle: Command, request: pytest.FixtureRequest, tmp_path: Path, name: str, overlay: str
) -> None:
    case = next(case for case in CASES if case.name == name)
    data = request.getfixturevalue(case.dataset)
    run_bundle(name, "training", "train", overlay, output_dir=str(tmp_path), **data, **{**case.short, "max_epochs": 1})
    assert weights(tmp_path / "model.pt").keys() == weights(tmp_path / "last.pt").keys()


def test_two_runs_of_one_seed_are_the_same(
    command: Command, dataset: dict[str, str], case: BundleCase, tmp_path: Path, trained: Path
) -> None:
    command("training", "train", output_dir=str(tmp_path / "again"), **dataset, **case.short)
    assert same_weights(trained / "last.pt", tmp_path / "again" / "last.pt")
    command("training", "train", output_dir=str(tmp_path / "other"), seed=1, **dataset, **case.short)
    assert not same_weights(trained / "last.pt", tmp_path / "other" / "last.pt")


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(
    command: Command, dataset: dict[str, str], case: BundleCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another machine, which would choose another precision by itself."""
    amp = Precision("auto", "cpu").name != "bfloat16"
    options = {**dataset, **case.short, "max_epochs": 4, "amp": amp}
    command("training", "train", output_dir=str(tmp_path / "whole"), **options)
    make_pair = FamilyPairs.__call__
    calls = []

    def make_pair_or_stop(self: FamilyPairs, *arguments: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == 6:  # the second iteration of the third epoch
            raise KeyboardInterrupt
        return make_pair(self, *arguments, **more)

    monkeypatch.setattr(FamilyPairs, "__call__", make_pair_or_stop)
    with pytest.raises(KeyboardInterrupt):
        command("training", "train", output_dir=str(tmp_path / "parts"), **options)
    monkeypatch.setattr(FamilyPairs, "__call__", make_pair)
    assert read_checkpoint(tmp_path / "parts" / "last.pt")["epoch"] == 2
    command("training", "train", output_dir=str(tmp_path / "parts"), resume=True, **{**options, "amp": "auto"})
    whole, parts = (read_checkpoint(tmp_path / name / "last.pt") for name in ("whole", "parts"))
    assert same_weights(tmp_path / "whole" / "last.pt", tmp_path / "parts" / "last.pt")
    assert same_weights(tmp_path / "whole" / "model.pt", tmp_path / "parts" / "model.pt")
    keys = ("epoch", "best_metric", "best_metric_epoch", "validations_without_gain", "schedule_positions")
    assert all(whole[key] == parts[key] for key in keys)
    assert parts["precision"] == whole["precision"] == {"cpu": "bfloat16" if amp else "float32"}
    rows = table(tmp_path / "parts" / "curves.csv")
    assert len(rows) == 4


def test_training_stops_early_when_it_no_longer_improves(
    command: Command, dataset: dict[str, str], case: BundleCase, tmp_path: Path
) -> None:
    options = {**dataset, **case.short, "max_epochs": 9, "learning_rate": 0.0, "patience": 2}
    workflow = command("training", "train", output_dir=str(tmp_path), **options)
    assert workflow.trainer.state.epoch == 3


def test_a_resumed_run_may_be_longer_and_follows_the_schedule_of_its_config(
    command: Command, dataset: dict[str, str], case: BundleCase, tmp_path: Path, trained: Path
) -> None:
    before = (trained / "last.pt").read_bytes()
    command("training", "train", output_dir=str(trained), resume=True, **dataset, **case.short)
    assert (trained / "last.pt").read_bytes() == before  # all epochs were done
    options = {**dataset, **case.short, "max_epochs": 4}
    command("training", "train", output_dir=str(trained), resume=True, **options)
    command("training", "train", output_dir=str(tmp_path / "whole"), **options)
    rates = [[row["learning_rate"] for row in table(out / "curves.csv")] for out in (trained, tmp_path / "whole")]
    assert rates[0][2:] == rates[1][2:]
    options = {**options, "max_epochs": 5, "learning_rate": 1e-4}
    command("training", "train", output_dir=str(trained), resume=True, **options)
    assert float(table(trained / "curves.csv")[-1]["learning_rate"]) < 1e-4


def test_an_overwritten_run_leaves_nothing_to_resume(
    command: Command, dataset: dict[str, str], case: BundleCase, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: FamilyPairs, *arguments: Any, **more: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(FamilyPairs, "__call__", stop)
    with pytest.raises(KeyboardInterrupt):
        command("training", "train", output_dir=str(trained), overwrite="true", **dataset, **case.short)
    assert not list(trained.glob("*.pt"))
