from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest

from custom.errors import InputError
from custom.evaluation.classical import BestClassical
from custom.evaluation.summary import COLUMNS, METRIC_COLUMNS, merge_rows, summarise, table_markdown, write_results

METHODS = ("nearest", "linear", "cubic", "zero_filled", "model")
ORIGIN = {"manifest": {"name": "m", "digest": "d"}, "weights_sha256": None, "versions": {"custom": "0"}}


def rows_of(subjects=("b", "a", "c"), lpips=False):
    generator = np.random.default_rng(0)
    rows = []
    for subject in subjects:
        for method in METHODS:
            row = {metric: float(generator.normal(20, 3)) for metric in METRIC_COLUMNS}
            rows.append({"subject": subject, "method": method, **row, **({} if lpips else {"lpips": math.nan})})
    return rows


def written(folder, rows):
    merged = merge_rows(rows)
    write_results(merged, summarise(merged), folder, ORIGIN)
    with (folder / "metrics.csv").open(newline="") as file:
        table = list(csv.reader(file))
    return table, json.loads((folder / "summary.json").read_text())


def test_the_csv_has_its_columns_and_a_row_a_subject_and_method(tmp_path):
    table, _ = written(tmp_path, rows_of())
    assert table[0] == [
        "subject", "method", "psnr", "ssim", "mae", "hfen", "lpips", "consistency", "seconds",
        "psnr_foreground", "ssim_foreground", "mae_foreground", "hfen_foreground",
    ]  # fmt: skip
    assert [row[:2] for row in table[1:]] == [[s, m] for s in "abc" for m in METHODS]
    assert {row[6] for row in table[1:]} == {""}


def test_the_summary_can_be_had_again_from_the_csv(tmp_path):
    table, summary = written(tmp_path, rows_of(lpips=True))
    assert list(summary) == ["methods", "difference_from_cubic", "subjects", "manifest", "weights_sha256", "versions"]
    assert summary["subjects"] == ["a", "b", "c"]
    assert list(summary["methods"]) == list(METHODS)
    assert sorted(summary["difference_from_cubic"]) == sorted(set(METHODS) - {"cubic"})
    values = {
        (row[1], metric): [float(r[i]) for r in table[1:] if r[1] == row[1]]
        for row in table[1:]
        for i, metric in enumerate(COLUMNS)
        if i > 1
    }
    for (method, metric), found in values.items():
        interval = summary["methods"][method][metric]
        assert interval["mean"] == pytest.approx(np.mean(found))
        assert interval["low"] < interval["mean"] < interval["high"]
        if method != "cubic":
            gain = np.subtract(found, values["cubic", metric])
            interval = summary["difference_from_cubic"][method][metric]
            assert interval["mean"] == pytest.approx(gain.mean())
            assert gain.min() <= interval["low"] <= interval["high"] <= gain.max()


def test_a_missing_figure_is_null(tmp_path):
    _, summary = written(tmp_path, rows_of())
    assert summary["methods"]["model"]["lpips"] == {"mean": None, "low": None, "high": None}
    assert summary["difference_from_cubic"]["model"]["lpips"]["mean"] is None


def test_a_scan_that_came_twice_counts_once_and_scans_of_a_subject_are_averaged():
    def row(key, psnr):
        return {"subject": "s", "method": "cubic", "key": key, "psnr": psnr, "ssim": math.nan}

    merged = merge_rows([row("1.nii", 20.0), row("2.nii", 30.0), row("1.nii", 20.0)])
    assert len(merged) == 1
    assert merged[0]["psnr"] == 25
    assert math.isnan(merged[0]["ssim"])
    assert "key" not in merged[0]
    assert merge_rows([row(None, 20.0), row(None, 40.0)])[0]["psnr"] == 30


def test_differences_from_the_best_classical_method_say_which_it_is():
    rows = merge_rows(rows_of())
    best = BestClassical("linear", {"linear": 30.0, "cubic": 29.0}, subjects=2)
    summary = summarise(rows, ["cubic"], best)
    assert summary["best_classical"] == {
        "method": "linear",
        "validation_psnr": {"linear": 30.0, "cubic": 29.0},
        "subjects": 2,
    }
    found = summary["difference_from_best_classical"]
    assert list(found) == ["nearest", "cubic", "zero_filled", "model"]
    by_hand = [{r["subject"]: r["psnr"] for r in rows if r["method"] == m} for m in ("model", "linear")]
    differences = [by_hand[0][s] - by_hand[1][s] for s in "abc"]
    assert found["model"]["psnr"].mean == pytest.approx(np.mean(differences))
    assert "## Difference from linear (the best classical method on the validation subjects), paired" in table_markdown(
        summary
    )
    assert "difference_from_best_classical" not in summarise(rows)


def test_the_table_reads_well():
    text = table_markdown(summarise(merge_rows(rows_of())))
    assert text.startswith("3 subjects: mean [95 % bootstrap interval over subjects].")
    assert "LPIPS" not in text
    whole, inside, gain, gain_inside = text.split("## ")[1:]
    assert whole.startswith("Whole image\n")
    assert inside.startswith("Foreground\n")
    assert gain.startswith("Difference from cubic, paired by subject, whole image\n")
    assert gain_inside.startswith("Difference from cubic, paired by subject, foreground\n")
    for part, methods in ((whole, METHODS), (gain, ("nearest", "linear", "zero_filled", "model"))):
        lines = part.strip().splitlines()[2:]
        assert len({len(line) for line in lines}) == 1
        assert [line.split()[1] for line in lines[2:]] == list(methods)
    cells = [cell.strip() for cell in gain.splitlines()[-3].split("|")[2:-1]]
    assert all(cell[0] in "+-" for cell in cells)


def test_one_subject_has_no_brackets():
    text = table_markdown(summarise(merge_rows(rows_of(subjects=("a",)))))
    assert text.startswith("1 subject, so there is no interval.")
    assert "[" not in text


def test_a_folder_that_cannot_be_written_is_named_and_nothing_is_left(tmp_path):
    (tmp_path / "metrics.csv").mkdir()
    rows = merge_rows(rows_of())
    with pytest.raises(InputError, match="output_dir"):
        write_results(rows, summarise(rows), tmp_path, ORIGIN)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]
