from __future__ import annotations

import csv
import json
import logging
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from monai.data import Dataset, MetaTensor
from PIL import Image
from tiny_cine import cine, frame
from torch.utils.data import DataLoader

from custom.degradations import UPSAMPLING_METHODS, AreaMean, SliceBySlice
from custom.engines import ScanEvaluator
from custom.errors import UsageError
from custom.handlers.cine import CineTable
from custom.handlers.comparison import ComparisonTable
from custom.handlers.m_mode import MMode
from custom.scans import ScanHeader, ScanReference

PICTURE = ScanHeader(source=ScanReference(Path("a.png"), "picture", "a", Path()))
METHODS = (*UPSAMPLING_METHODS, "model", "truth")
HALF = SliceBySlice(AreaMean(2, spatial_dims=2))


class Scaled(torch.nn.Module):
    """Stands for a network: cubic of every frame, brighter by a part."""

    def __init__(self, factor=1.0, degradation=HALF):
        super().__init__()
        self.factor = factor
        self.degradation = degradation

    def forward(self, image):
        return self.factor * self.degradation.upsample(image, "cubic")


def evaluate(folder, handlers, scans, network=None, networks=None, degradation=HALF):
    """Run an evaluator that compares over items {"label", "subject", ...}; inputs are made as at evaluation."""
    data = []
    for i, scan in enumerate(scans):
        label = scan["label"]
        image = degradation(label[None])[0]
        meta = {"filename_or_obj": f"{i}.nii", "header": ScanHeader() if label.ndim == 4 else PICTURE}
        label = MetaTensor(label, affine=np.diag([1.5, 2.0, 8.0, 1.0]), meta=meta)
        data.append({**scan, "image": image, "label": label})
    comparison = ComparisonTable(folder, degradation, pictures=False, networks=networks)
    evaluator = ScanEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(data), batch_size=None),
        network=network or Scaled(degradation=degradation),
        val_handlers=[comparison, *handlers],
    )
    evaluator.run()
    return evaluator.state.metrics


def rows_in(folder):
    with (folder / "cine.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_slice_is_measured_by_each_method(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        metrics = evaluate(tmp_path, [CineTable(tmp_path)], [{"label": cine(), "subject": "a"}])
    rows = rows_in(tmp_path)
    assert [(row["subject"], row["slice"], row["method"]) for row in rows] == [
        ("a", str(k), method) for k in range(3) for method in METHODS
    ]
    for row in rows:
        assert row["frames"] == "4"
        assert row["unit"] == "mm2"
        if row["method"] == "truth":
            shrunk = 1 - 0.1 * int(row["slice"])
            # pixels of 1.5 x 2 mm; the half level of the soft edge lies half a pixel within the radius
            assert float(row["largest_area"]) == pytest.approx(3 * math.pi * (16 * shrunk - 0.5) ** 2, rel=0.05)
            assert float(row["change"]) == pytest.approx(0.75, abs=0.03)
            assert float(row["flicker"]) == 0
    flickers = {row["method"]: float(row["flicker"]) for row in rows if row["slice"] == "0"}
    assert flickers["nearest"] > flickers["cubic"] > 0
    assert flickers["model"] == pytest.approx(flickers["cubic"])
    assert metrics["cubic_flicker"] == pytest.approx(
        np.mean([float(row["flicker"]) for row in rows if row["method"] == "cubic"])
    )
    assert (tmp_path / "cine.md").read_text().strip() in caplog.text


def test_summary_holds_bias_and_limits(tmp_path):
    scans = [{"label": cine(), "subject": "a"}, {"label": cine((15.0, 11.0, 9.0, 13.0)), "subject": "b"}]
    metrics = evaluate(tmp_path, [CineTable(tmp_path)], scans, Scaled(1.25))
    summary = json.loads((tmp_path / "cine.json").read_text())
    assert summary["subjects"] == ["a", "b"]
    assert summary["slices"] == 6
    rows = rows_in(tmp_path)
    by = {(row["subject"], row["slice"], row["method"]): row for row in rows}
    differences = [
        float(by[s, str(k), "model"]["change"]) - float(by[s, str(k), "truth"]["change"])
        for s in "ab"
        for k in range(3)
    ]
    found = summary["agreement_with_truth"]["model"]
    assert found["change"]["bias"] == pytest.approx(np.mean(differences)) == metrics["model_change_bias"]
    assert found["change"]["high"] - found["change"]["bias"] == pytest.approx(1.96 * np.std(differences, ddof=1))
    assert found["largest_area_percent"]["bias"] > 2  # a brighter image has more above the threshold
    smaller = [
        float(by[s, str(k), "model"]["smallest_area"]) - float(by[s, str(k), "truth"]["smallest_area"])
        for s in "ab"
        for k in range(3)
    ]
    full = [float(by[s, str(k), "truth"]["largest_area"]) for s in "ab" for k in range(3)]
    expected = 100 * np.mean(np.array(smaller) / np.array(full))
    assert found["smallest_area_percent"]["bias"] == pytest.approx(expected)
    assert found["change_of_subject"]["count"] == 2
    assert "truth" not in summary["agreement_with_truth"]
    largest = [float(by["a", str(k), "truth"]["largest_area"]) for k in range(3)]
    smallest = [float(by["a", str(k), "truth"]["smallest_area"]) for k in range(3)]
    change = summary["methods"]["truth"]["change"]
    assert change["low"] <= 1 - sum(smallest) / sum(largest) <= change["high"]
    assert (tmp_path / "cine.md").read_text().count("\n| ") == len(METHODS) + 2


def test_pictures_of_one_slice_come_together(tmp_path):
    scans = [
        {"label": frame(radius)[None], "subject": "a", "slice": number, "phase": phase}
        for number, phase, radius in ((4, 7, 8.0), (4, 0, 16.0), (5, 0, 14.0), (5, 1, 13.0), (6, 0, 15.0))
    ]
    metrics = evaluate(tmp_path, [CineTable(tmp_path)], scans)
    assert not any(math.isnan(value) for value in metrics.values())
    truth = {row["slice"]: row for row in rows_in(tmp_path) if row["method"] == "truth"}
    assert list(truth) == ["4", "5", "6"]
    assert {row["unit"] for row in truth.values()} == {"pixels"}
    assert [truth[number]["frames"] for number in "456"] == ["2", "2", "1"]
    assert float(truth["4"]["change"]) == pytest.approx(0.75, abs=0.04)
    assert (truth["4"]["flicker"], truth["5"]["flicker"], truth["6"]["change"]) == ("", "0.0", "")
    assert json.loads((tmp_path / "cine.json").read_text())["slices"] == 2


def test_scans_without_frames_have_no_table(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        evaluate(tmp_path, [CineTable(tmp_path), MMode(tmp_path)], [{"label": frame(12.0)[None], "subject": "a"}])
    assert not list(tmp_path.glob("cine*"))
    assert not list(tmp_path.rglob("*m_mode*"))
    assert "no scan has frames" in caplog.text


def test_a_table_needs_a_comparison_before_it(tmp_path):
    item = {"label": cine(), "pred": cine()}
    engine = SimpleNamespace(state=SimpleNamespace(output=[item], batch=[{"subject": "a"}]))
    for observe in (CineTable(tmp_path).measure, MMode(tmp_path).draw):
        with pytest.raises(UsageError, match="ComparisonTable"):
            observe(engine)


def test_every_compared_network_is_in_the_cines_table_and_picture(tmp_path):
    handlers = [CineTable(tmp_path), MMode(tmp_path)]
    scans = [{"label": cine(slices=1), "subject": "a"}]
    evaluate(tmp_path, handlers, scans, networks={"brighter": Scaled(1.25), "darker": Scaled(0.8)})
    areas = {row["method"]: float(row["largest_area"]) for row in rows_in(tmp_path)}
    assert list(areas) == [*UPSAMPLING_METHODS, "model", "brighter", "darker", "truth"]
    assert areas["darker"] < areas["model"] < areas["brighter"]
    with Image.open(tmp_path / "pictures" / "a_m_mode.png") as picture:
        assert picture.size == (round(2.3 * 7 * 150), 750)


# --- M-mode


def test_the_handler_draws_the_first_cine_of_each_subject(tmp_path):
    scans = [{"label": cine(), "subject": name} for name in ("a", "a", "b")]
    evaluate(tmp_path, [MMode(tmp_path)], scans)
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["a_m_mode.png", "b_m_mode.png"]
    with Image.open(tmp_path / "pictures" / "a_m_mode.png") as picture:
        assert picture.size == (round(2.3 * 5 * 150), 750)
        assert np.asarray(picture.convert("L")).std() > 20


def test_the_slices_are_those_along_the_axis_of_the_degradation(tmp_path):
    pictures, areas = [], []
    for name, scan, axis in (("last", cine(), -1), ("first", cine().movedim(-1, 1), 0)):
        folder = tmp_path / name
        degradation = SliceBySlice(AreaMean(2, spatial_dims=2), axis)
        evaluate(folder, [CineTable(folder), MMode(folder)], [{"label": scan, "subject": "a"}], degradation=degradation)
        with Image.open(folder / "pictures" / "a_m_mode.png") as picture:
            pictures.append(np.asarray(picture.convert("L")).astype(int))
        areas.append([float(row["largest_area"]) for row in rows_in(folder)])
    assert np.abs(pictures[0] - pictures[1]).max() <= 1
    # Voxels of 1.5 x 2 x 8 mm: pixels of 1.5 x 2 in slices along the last axis, of 2 x 8 along the first.
    np.testing.assert_allclose(areas[1], np.multiply(areas[0], 16 / 3))
