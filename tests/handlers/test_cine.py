from __future__ import annotations

import json
import logging
import math

import numpy as np
import pytest
from evaluated_cine import METHODS, Scaled, evaluate, rows_in
from tiny_cine import cine, frame

from custom.handlers.cine import CineTable


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
