"""Evaluating, whichever bundle: the table of the weights that were trained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bundle_cases import BundleCase, Command, refusal, table
from mlflow_reader import Reader

from custom.storage import sha256


def test_evaluating_writes_the_table_of_the_trained_weights(
    command: Command, dataset: dict[str, str], evaluated: Path
) -> None:
    rows = table(evaluated / "metrics.csv")
    assert list(rows[0])[:9] == ["subject", "method", "psnr", "ssim", "mae", "hfen", "lpips", "consistency", "seconds"]
    assert not [column for column in rows[0] if "zscore" in column]  # these are asked for
    assert [r["method"] for r in rows[:7]] == ["nearest", "linear", "cubic", "spline", "zero_filled", "wiener", "model"]
    assert {r["subject"] for r in rows} == {"sub-3", "sub-4"}
    summary = json.loads((evaluated / "summary.json").read_text())
    model = [float(r["psnr"]) for r in rows if r["method"] == "model"]
    cubic = [float(r["psnr"]) for r in rows if r["method"] == "cubic"]
    assert summary["methods"]["model"]["psnr"]["mean"] == pytest.approx(np.mean(model), abs=1e-3)
    gain = summary["difference_from_cubic"]["model"]["psnr"]["mean"]
    assert gain == pytest.approx(np.mean(np.subtract(model, cubic)), abs=1e-3)
    best = summary["best_classical"]
    assert best["subjects"] == 1  # the validation subject
    assert best["method"] == max(best["validation_psnr"], key=best["validation_psnr"].get)
    assert set(summary["difference_from_best_classical"]) == {r["method"] for r in rows} - {best["method"]}
    assert (summary["subjects"], summary["manifest"]["name"]) == (["sub-3", "sub-4"], "tiny")
    assert summary["computation"]["precision"] == "float32"
    assert summary["weights_sha256"] == sha256(evaluated / "model.pt")
    assert sorted(p.name for p in (evaluated / "pictures").iterdir()) == ["sub-3.png", "sub-4.png"]
    assert "holds results already" in refusal(
        1, command, "evaluating", "train", "evaluate", output_dir=str(evaluated), **dataset
    )


def test_robustness_is_tried_with_the_trained_weights(
    command: Command, case: BundleCase, dataset: dict[str, str], trained: Path, tracking_uri: str
) -> None:
    names = ("evaluating", "train", "evaluate", "robustness")
    # An overlay of no keys: the weights of the bundle.
    keys = {"output_dir": str(trained), "noise_levels": [0.0], "others": {"shipped": []}, **dataset}
    command(*names, **keys)
    content = json.loads((trained / "robustness.json").read_text())
    assert content["subjects"] == ["sub-3", "sub-4"]
    assert content["weights_sha256"] == sha256(trained / "model.pt")
    methods = {name: found["psnr"] for name, found in content["cells"][0]["methods"].items()}
    interpolations = ["cubic"] if max(case.scale) == 1 else ["cubic", "spline", "zero_filled"]
    assert list(methods) == [*interpolations, "wiener", "model", "shipped"]
    assert methods["model"] != methods["shipped"]
    files = {f"{name}.{end}" for name in ("robustness", "no_truth") for end in ("csv", "md", "png")}
    files |= {"robustness.json", "robustness_config.json"}
    assert files <= {path.name for path in trained.iterdir()}
    reader = Reader(Path(tracking_uri.removeprefix("sqlite:///")), case.name)
    assert reader.artifacts() == files | {"model.pt"}
    assert reader.runs()[-1].data.tags["mlflow.note.content"] == (trained / "robustness.md").read_text()
    figures = reader.runs()[-1].data.metrics
    assert figures["robustness/model_psnr/published"] == pytest.approx(methods["model"])
    gain = content["gains"]["shipped"]["clean"]["over_cubic_mean"]
    assert figures["robustness/shipped_clean_over_cubic_mean"] == pytest.approx(gain)
    reader.store.close()
    inputs = {row["input"] for row in table(trained / "no_truth.csv")}
    assert {"flat", "edge", "ramp", "sub-3, flat parts", "sub-4, flat parts"} <= inputs
    assert "holds results already" in refusal(1, command, *names, **keys)
