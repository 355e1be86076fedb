from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import matplotlib.image
import pytest
import torch

from custom.arrays.intensity import intensity_scale
from custom.degradations import AreaMean, KSpaceCrop, SliceBySlice
from custom.evaluation.conditions import Condition
from custom.evaluation.robustness import (
    cells_of,
    chosen_slices,
    gains,
    robustness_metrics,
    robustness_rows,
    write_robustness,
)
from custom.metrics import psnr, ssim

HALF = AreaMean(2, 2)
OF_SCANS = SliceBySlice(HALF)
CONDITIONS = [
    Condition("mean", HALF),
    Condition("mean", HALF, noise=0.05),
    Condition("crop", KSpaceCrop(2, 2), magnitude=True, held_out=True),
]


def scan(subject: str, seed: int, frames: int = 1, slices: int = 9) -> dict[str, object]:
    image = torch.rand(frames, 30, 26, slices, generator=torch.Generator().manual_seed(seed)).cumsum(1).cumsum(2)
    return {"subject": subject, "label": 3 * image}


def cubic(lr: torch.Tensor) -> torch.Tensor:
    return OF_SCANS.upsample(lr, "cubic")


def rows_of(scans, every=3, models=None, **options):
    models = {"model": cubic} if models is None else models
    return robustness_rows(scans, CONDITIONS, OF_SCANS, models, lambda noise: None, every=every, **options)


def test_figures_are_those_of_the_counted_slices() -> None:
    item = scan("a", 0)
    rows = rows_of([item])
    assert [r["method"] for r in rows[:4]] == ["cubic", "spline", "zero_filled", "model"]
    for cell in range(3):  # the network is cubic, on the same noise
        row, model = rows[4 * cell], rows[4 * cell + 3]
        assert row["psnr"] == pytest.approx(model["psnr"]), cell
        assert (row["degradation"], row["noise"]) == (CONDITIONS[cell].name, CONDITIONS[cell].noise)
    hr = item["label"][None, ..., 1::3]
    hr = (hr / intensity_scale(OF_SCANS(hr))).movedim(-1, 0)[:, 0]
    expected = HALF.upsample(HALF(hr), "cubic")
    assert rows[0]["psnr"] == pytest.approx(psnr(expected, hr), rel=1e-5)
    assert rows[0]["ssim"] == pytest.approx(ssim(expected, hr), rel=1e-5)


def test_neighbours_are_given_to_the_models_and_do_not_count() -> None:
    seen = []

    def model(lr):
        seen.append(lr.shape[-1])
        return cubic(lr)

    alone, within = (rows_of([scan("a", 0)], models={"model": model}, neighbours=n) for n in (0, 2))
    assert seen == [3] * 3 + [15] * 3
    # The scale of the intensities comes from the neighbours too.
    assert within[3]["psnr"] == pytest.approx(alone[3]["psnr"], rel=5e-3)
    assert chosen_slices(9, 4, 1) == ([1, 2, 3, 5, 6, 7], slice(1, None, 3))
    assert chosen_slices(2, 16, 2) == ([0, 0, 1, 1, 1], slice(2, None, 5))


def test_every_nth_scan_and_frame_of_a_subject_counts() -> None:
    scans = [scan("a", n, frames=4, slices=1) for n in range(4)] + [scan("b", 9, slices=1)]
    seen = []
    rows_of(scans, models={"model": lambda lr: seen.append(lr.shape[1]) or cubic(lr)})
    assert seen == 2 * 3 * [2] + 3 * [1]  # two scans of a with frames 0 and 3, one of b


def test_one_seed_gives_one_table() -> None:
    first, again, other = (rows_of([scan("a", 0)], seed=seed) for seed in (0, 0, 1))
    assert first == again
    clean = [r["psnr"] == o["psnr"] for r, o in zip(first, other, strict=True)]
    assert clean == 4 * [True] + 8 * [False]


def test_gains_are_over_cubic_and_over_the_best_classical_of_each_row(tmp_path: Path) -> None:
    values = {
        ("x", 0.0): {"cubic": 20.0, "spline": 21.0, "model": 23.0},
        ("y", 0.0): {"cubic": 22.0, "spline": 20.0, "model": 21.5},
        ("x", 0.01): {"cubic": 18.0, "spline": 18.5, "model": 19.0},
    }
    rows = [
        {"degradation": d, "noise": n, "held_out": d == "y", "subject": s, "method": m, "psnr": p + shift, "ssim": 0.5}
        | {"psnr_foreground": math.nan}
        for (d, n), found in values.items()
        for m, p in found.items()
        for s, shift in (("a", -1.0), ("b", 1.0))
    ]
    cells = cells_of(rows, ["model"])
    assert [cell.best_classical for cell in cells] == ["spline", "cubic", "spline"]
    found = gains(cells, "model")
    assert found["clean"] == {
        "over_cubic_mean": 1.25,
        "over_cubic_lowest": -0.5,
        "over_best_classical_mean": 0.75,
        "over_best_classical_lowest": -0.5,
    }
    assert found["noisy"]["over_best_classical_mean"] == 0.5
    metrics = robustness_metrics(cells, ["model"])
    assert metrics["model_clean_over_cubic_lowest"] == -0.5
    assert {name: value for name, value in metrics.items() if "psnr" in name} == {
        "model_psnr/x": 23.0,
        "model_psnr/y": 21.5,
        "model_psnr/x 0.01 noise": 19.0,
    }
    write_robustness(rows, ["model"], tmp_path, {"seed": 0})
    text = (tmp_path / "robustness.md").read_text()
    assert "| y * | **22.00** | 20.00 | 21.50 |" in text
    assert "| x, 1 % noise | 18.00 | 18.50 | **19.00** |" in text
    assert "| model | +1.25 [-0.50] | +1.00 [+1.00] | +0.75 [-0.50] | +0.50 [+0.50] |" in text
    content = json.loads((tmp_path / "robustness.json").read_text())
    assert content["cells"][1]["methods"]["model"]["psnr"] == 21.5
    assert (content["subjects"], content["seed"]) == (["a", "b"], 0)
    with (tmp_path / "robustness.csv").open(newline="") as file:
        assert [row["psnr"] for row in csv.DictReader(file)][:2] == ["19.0", "21.0"]
    assert matplotlib.image.imread(tmp_path / "robustness.png").shape[2] == 4
