"""The figures of cines, and their files: cine.csv, cine.json, cine.md."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from custom.evaluation.summary import Row
from custom.evaluation.tables import csv_text, interval_text, json_text
from custom.metrics import agreement, ejection, mean_interval
from custom.storage import replace_file

__all__ = ["CINE_COLUMNS", "TRUTH", "cine_markdown", "cine_rows", "summarise_cine", "write_cine"]

#: The name that the high-resolution cine itself has among the methods.
TRUTH = "truth"

#: The columns of cine.csv. The column "unit" holds the unit of the areas: "mm2", or "pixels" if their size is unknown.
CINE_COLUMNS = (
    "subject",
    "slice",
    "method",
    "frames",
    "largest_area",
    "smallest_area",
    "unit",
    "change",
    "flicker",
)


def cine_rows(rows: Iterable[Row]) -> list[Row]:
    """Compute the figures of each slice and method from the areas of its frames.

    Args:
        rows: the measurements of all processes. Each has "subject", "key" (the scan), "slice", "method", "frames"
            (their number), "areas" (of the blood pool in each frame; empty if the truth has no pool), "unit" and
            "flicker". Of a slice that was measured twice the first row counts.

    Returns:
        Rows with `CINE_COLUMNS` and "key", sorted by subject, scan and slice.
    """
    merged: dict[tuple[str, str | None, int, str], Row] = {}
    for row in rows:
        areas = row["areas"]
        figures = {
            "frames": row["frames"],
            "largest_area": max(areas, default=math.nan),
            "smallest_area": min(areas, default=math.nan),
            "unit": row["unit"],
            "change": ejection(areas),
            "flicker": row["flicker"],
        }
        place = {"subject": row["subject"], "key": row["key"], "slice": row["slice"], "method": row["method"]}
        merged.setdefault((row["subject"], row["key"], row["slice"], row["method"]), place | figures)
    return sorted(merged.values(), key=lambda row: (row["subject"], row["key"] or "", row["slice"]))


def summarise_cine(rows: Sequence[Row]) -> dict[str, Any]:
    """Return means over subjects with 95 % intervals, and the agreement of each method with the truth.

    Args:
        rows: as `cine_rows` returns them.

    Returns:
        "methods": for each method "flicker" and "change", each {"mean", "low", "high"}, over subjects.
        "agreement_with_truth": for each method "change", "largest_area_percent" and "smallest_area_percent" over
        slices, and "change_of_subject" over subjects, each {"bias", "low", "high", "count"}; areas are in percent of
        the largest area of the truth. "subjects": their names. "slices": the number of slices in which the truth has a
        blood pool and more than one frame.
    """
    by_method: dict[str, dict[tuple[str, str | None, int], Row]] = defaultdict(dict)
    for row in rows:
        by_method[row["method"]][row["subject"], row["key"], row["slice"]] = row
    subjects = sorted({row["subject"] for row in rows})
    # The slices in which the truth has a pool and more than one frame.
    places = [place for place, row in by_method[TRUTH].items() if not math.isnan(row["change"])]

    def column(method: str, name: str) -> list[float]:
        return [by_method[method][place][name] for place in places]

    def relative(method: str, name: str) -> list[float]:
        # In percent of the largest area of the truth, as its smallest area may be almost 0.
        return [100 * v / t for v, t in zip(column(method, name), column(TRUTH, "largest_area"), strict=True)]

    def change(method: str, subject: str) -> float:
        theirs = [by_method[method][place] for place in places if place[0] == subject]
        largest = sum(row["largest_area"] for row in theirs)
        return 1 - sum(row["smallest_area"] for row in theirs) / largest if largest else math.nan

    def flickering(method: str, subject: str) -> float:
        values = [row["flicker"] for (name, *_), row in by_method[method].items() if name == subject]
        return float(np.mean(values))

    changes = {method: [change(method, subject) for subject in subjects] for method in by_method}
    return {
        "methods": {
            method: {
                "flicker": asdict(mean_interval([flickering(method, subject) for subject in subjects])),
                "change": asdict(mean_interval(changes[method])),
            }
            for method in by_method
        },
        "agreement_with_truth": {
            method: {
                "change": asdict(agreement(column(method, "change"), column(TRUTH, "change"))),
                "largest_area_percent": asdict(
                    agreement(relative(method, "largest_area"), relative(TRUTH, "largest_area"))
                ),
                "smallest_area_percent": asdict(
                    agreement(relative(method, "smallest_area"), relative(TRUTH, "smallest_area"))
                ),
                "change_of_subject": asdict(agreement(changes[method], changes[TRUTH])),
            }
            for method in by_method
            if method != TRUTH
        },
        "subjects": subjects,
        "slices": len(places),
    }


def write_cine(rows: Sequence[Row], summary: dict[str, Any], output_dir: str | Path) -> None:
    """Write cine.csv, cine.json and cine.md, each whole or not at all.

    Args:
        rows: as `cine_rows` returns them.
        summary: as `summarise_cine` returns it.
        output_dir: the folder; made if it does not exist.

    Raises:
        InputError: if a file cannot be written.
    """
    folder = Path(output_dir)
    replace_file(folder / "cine.csv", csv_text(rows, CINE_COLUMNS))
    replace_file(folder / "cine.json", json_text(summary))
    replace_file(folder / "cine.md", cine_markdown(summary))


def cine_markdown(summary: dict[str, Any]) -> str:
    """Return the summary as a Markdown table."""
    counts = f"Subjects: {len(summary['subjects'])}; slices with a blood pool: {summary['slices']}."
    first = "Flicker and change of the pool: mean over subjects [95 % bootstrap interval]."
    last = "The other columns, against the truth: bias [limits of agreement, bias ± 1.96 SD] over slices"
    note = "areas in percent of the truth's largest; the slices of one heart are not independent"
    headings = ("Method", "Flicker", "Change of the pool", "Change", "Largest area (%)", "Smallest area (%)")
    lines = [
        "# Cine",
        "",
        f"{counts} {first} {last}, {note}.",
        "",
        f"| {' | '.join(headings)} |",
        f"| --- |{' ---: |' * (len(headings) - 1)}",
    ]
    for method, found in summary["methods"].items():
        cells = [method, _cell(found["flicker"], 5, "mean"), _cell(found["change"], 3, "mean")]
        against = summary["agreement_with_truth"].get(method)
        for name, digits in (("change", 3), ("largest_area_percent", 1), ("smallest_area_percent", 1)):
            cells.append("" if against is None else _cell(against[name], digits, "bias"))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(found: dict[str, float], digits: int, name: str) -> str:
    return interval_text(found[name], found["low"], found["high"], digits, signed=name == "bias")
