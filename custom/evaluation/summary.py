"""The figures of a comparison, and their files: metrics.csv, summary.json, table.md."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from custom.errors import InputError
from custom.evaluation.classical import BestClassical
from custom.evaluation.tables import csv_text, interval_text, json_text
from custom.metrics import Interval, mean_interval, paired_difference
from custom.storage import replace_file

__all__ = [
    "COLUMNS",
    "METRIC_COLUMNS",
    "REFERENCE",
    "Row",
    "Summary",
    "merge_rows",
    "summarise",
    "table_markdown",
    "write_results",
]

#: A row holds "subject", "method" and figures; units are those of `custom.metrics.image_metrics`.
Row = dict[str, Any]

METRIC_COLUMNS = (
    "psnr",
    "ssim",
    "mae",
    "hfen",
    "lpips",
    "consistency",
    "seconds",
    "psnr_foreground",
    "ssim_foreground",
    "mae_foreground",
    "hfen_foreground",
)

#: The columns of metrics.csv. Further figures of the rows, such as "psnr_zscore", come after them.
COLUMNS = ("subject", "method", *METRIC_COLUMNS)

#: The method from which the differences of all others are always given.
REFERENCE = "cubic"

_DIFFERENCE = "difference_from_"
_BEST = "best_classical"

#: {"methods": {method: {metric: Interval}}, "difference_from_cubic": ..., "subjects": [...]}
Summary = dict[str, Any]

# For the table: the heading, the number of decimals, and an arrow to where the better values are.
_HEADINGS = {
    "psnr": ("PSNR (dB)", 2, "↑"),
    "ssim": ("SSIM", 4, "↑"),
    "mae": ("MAE", 4, "↓"),
    "hfen": ("HFEN", 3, "↓"),
    "lpips": ("LPIPS", 4, "↓"),
    "consistency": ("Consistency", 5, "↓"),
    "seconds": ("Seconds", 2, ""),
    "psnr_zscore": ("PSNR of z-scores (dB)", 2, "↑"),
    "ssim_zscore": ("SSIM of z-scores", 4, "↑"),
    "checkerboard": ("Checkerboard", 2, "↓"),
}


def merge_rows(rows: Iterable[Row]) -> list[Row]:
    """Average the rows of all scans and processes to one row for each subject and method.

    Each figure is the mean over the scans of the subject, such as the images in a folder of slices: "psnr" is the mean
    of their PSNR, and "seconds" is the mean for a scan. A scan that was measured twice counts once; the key "key" of a
    row names its scan.

    Args:
        rows: one for each scan and method; NaN figures are left out of the mean.

    Returns:
        Rows without "key", sorted by subject; the methods keep their order.
    """
    scans: dict[tuple[str, str], list[Row]] = defaultdict(list)
    seen = set()
    for row in rows:
        name = (row["subject"], row["method"])
        key = row.get("key")
        if key is None or (*name, key) not in seen:
            scans[name].append(row)
        seen.add((*name, key))
    metrics = _metrics(row for found in scans.values() for row in found)
    merged = [
        {
            "subject": subject,
            "method": method,
            **{metric: _mean([row.get(metric, math.nan) for row in found]) for metric in metrics},
        }
        for (subject, method), found in scans.items()
    ]
    return sorted(merged, key=lambda row: row["subject"])


def summarise(
    rows: Sequence[Row], references: Sequence[str] = (REFERENCE,), best: BestClassical | None = None
) -> Summary:
    """Return means over subjects, and paired differences from reference methods, each with its 95 % interval.

    Args:
        rows: one for each subject and method, as `merge_rows` returns them.
        references: the methods from which differences are given.
        best: the best classical method, a further reference; None where it is not known.

    Returns:
        "methods": {method: {figure: Interval}}. For each reference "difference_from_<method>", of the same form; it is
        empty if the reference has no rows. If `best` is known, "difference_from_best_classical", and "best_classical"
        with the fields of it. "subjects": their names.

    Raises:
        InputError: if there are no rows.
    """
    if not rows:
        raise InputError("no scan was evaluated, so there is no table; check the test split of the manifest")
    values: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in rows:
        values[row["method"]][row["subject"]] = row
    subjects = sorted({row["subject"] for row in rows})
    metrics = _metrics(rows)

    def column(method: str, metric: str) -> list[float]:
        return [values[method].get(subject, {}).get(metric, math.nan) for subject in subjects]

    origins = {reference: reference for reference in references}
    if best is not None:
        origins[_BEST] = best.method
    return {
        "methods": {m: {k: mean_interval(column(m, k)) for k in metrics} for m in values},
        **{
            _DIFFERENCE + name: {
                m: {k: paired_difference(column(m, k), column(reference, k)) for k in metrics}
                for m in values
                if m != reference and reference in values
            }
            for name, reference in origins.items()
        },
        **({} if best is None else {_BEST: asdict(best)}),
        "subjects": subjects,
    }


def table_markdown(summary: Summary) -> str:
    """Return the summary as Markdown tables whose columns are aligned, so that they read well as plain text."""
    count = len(summary["subjects"])
    several = f"{count} subjects: mean [95 % bootstrap interval over subjects]."
    parts = [several if count > 1 else "1 subject, so there is no interval."]
    differences = [group for group in summary if group.startswith(_DIFFERENCE)]
    titles = {g: f"Difference from {_reference(g, summary)}, paired by subject" for g in differences}
    for group, title in {"methods": "", **titles}.items():
        for suffix, region in (("", "whole image"), ("_foreground", "foreground")):
            found = summary[group]
            known: Mapping[str, Interval] = next(iter(found.values()), {})
            metrics = [k for k in known if k.endswith("_foreground") == bool(suffix)]
            metrics = [k for k in metrics if not all(math.isnan(found[m][k].mean) for m in found)]
            metrics = [k for k in metrics if not (title and k == "seconds")]
            if found and metrics:
                heading = f"{title}, {region}" if title else region.capitalize()
                parts.append(f"## {heading}\n\n{_table(found, metrics, signed=bool(title))}")
    return "\n\n".join(parts) + "\n"


def write_results(rows: Sequence[Row], summary: Summary, output_dir: str | Path, origin: Mapping[str, Any]) -> None:
    """Write metrics.csv, summary.json and table.md, each whole or not at all.

    Args:
        rows: as `merge_rows` returns them.
        summary: as `summarise` returns it for these rows.
        output_dir: the folder; made if it does not exist.
        origin: further entries of summary.json: "manifest", "weights_sha256", "parameters", "versions".

    Raises:
        InputError: if a file cannot be written.
    """
    folder = Path(output_dir)
    replace_file(folder / "metrics.csv", csv_text(rows, ("subject", "method", *_metrics(rows))))
    replace_file(folder / "summary.json", json_text({**summary, **origin}))
    replace_file(folder / "table.md", "# Results\n\n" + table_markdown(summary))


def _reference(group: str, summary: Summary) -> str:
    """Return what a group of differences is from, in words."""
    name = group.removeprefix(_DIFFERENCE)
    if name != _BEST:
        return name
    return f"{summary[_BEST]['method']} (the best classical method on the validation subjects)"


def _metrics(rows: Iterable[Row]) -> list[str]:
    """Return the names of the figures: those that every table has, then the others that the rows have."""
    names = dict.fromkeys(METRIC_COLUMNS)
    for row in rows:
        names |= dict.fromkeys(row)
    return [name for name in names if name not in ("subject", "method", "key")]


def _table(methods: Mapping[str, Mapping[str, Interval]], metrics: Sequence[str], signed: bool) -> str:
    names = [metric.removesuffix("_foreground") for metric in metrics]
    headings = [_HEADINGS.get(name, (name, 4, "")) for name in names]
    lines = [["Method", *(f"{title} {arrow}".strip() for title, _, arrow in headings)]]
    for method, found in methods.items():
        cells = [_cell(found[k], digits, signed) for k, (_, digits, _) in zip(metrics, headings, strict=True)]
        lines.append([method, *cells])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    rows = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines]
    rule = "| " + " | ".join("-" * w for w in widths) + " |"
    return "\n".join([rows[0], rule, *rows[1:]])


def _cell(found: Interval, digits: int, signed: bool) -> str:
    return interval_text(found.mean, found.low, found.high, digits, signed)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
