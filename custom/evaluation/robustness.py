"""The table of robustness: each method on scans that were measured in many ways."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from custom.arrays.intensity import foreground_mask, intensity_scale
from custom.degradations import LEAST_NOISE, Degradation, SliceBySlice, WienerFilter
from custom.evaluation.classical import classical_methods
from custom.evaluation.conditions import Condition
from custom.evaluation.heat_map import heat_map
from custom.evaluation.summary import REFERENCE, Row
from custom.evaluation.tables import csv_text, json_text
from custom.metrics import psnr, ssim
from custom.storage import replace_file

__all__ = [
    "Cell",
    "cells_of",
    "chosen_slices",
    "gains",
    "robustness_markdown",
    "robustness_metrics",
    "robustness_rows",
    "write_robustness",
]

_logger = logging.getLogger(__name__)

_COLUMNS = ("degradation", "noise", "held_out", "subject", "method", "psnr", "ssim", "psnr_foreground")
_FIGURES = _COLUMNS[5:]
# What interpolates with less than cubic is left out; where the grid is kept, every interpolation is the input itself.
_LEFT_OUT = ("nearest", "linear")
_ALIKE = ("spline", "zero_filled")


@dataclass(frozen=True)
class Cell:
    """The means over subjects under one condition.

    Attributes:
        degradation: its name.
        noise: its standard deviation, data range 1.
        held_out: as in `Condition`.
        methods: {method: {figure: mean}}.
        best_classical: the classical method with the highest PSNR under this condition.
    """

    degradation: str
    noise: float
    held_out: bool
    methods: Mapping[str, Mapping[str, float]]
    best_classical: str

    def gain(self, method: str, over: str) -> float:
        """Return the difference of the PSNR of two methods in dB."""
        return self.methods[method]["psnr"] - self.methods[over]["psnr"]

    @property
    def title(self) -> str:
        """The condition in words."""
        noise = f", {100 * self.noise:g} % noise" if self.noise else ""
        return f"{self.degradation}{noise}{' *' if self.held_out else ''}"


@torch.no_grad()
def robustness_rows(
    scans: Iterable[Mapping[str, Any]],
    conditions: Sequence[Condition],
    scan_degradation: Degradation,
    models: Mapping[str, Callable[[Tensor], Tensor]],
    wiener: Callable[[float], WienerFilter | None],
    *,
    every: int = 16,
    neighbours: int = 0,
    seed: int = 0,
) -> list[Row]:
    """Measure every method on every scan under every condition.

    Of a volume that is degraded slice by slice every n-th slice counts, of a scan with frames every n-th frame, and of
    the scans of a subject every n-th scan. Phase and noise depend on the seed, the condition and the scan alone.

    Args:
        scans: {"subject", "label": `(frames, *spatial)` in any units}.
        conditions: of single images.
        scan_degradation: the bundle's own, of scans: on its grid the classical methods interpolate.
        models: by name; each takes `(1, frames, *spatial)` in any units.
        wiener: gives the Wiener filter for a noise.
        every: n.
        neighbours: how many slices on each side of a counted one the models are given.
        seed: of phase and noise.

    Returns:
        A row for each subject, condition and method: "degradation", "noise", "held_out", "subject", "method", "psnr",
        "ssim", "psnr_foreground", means over the scans of the subject.
    """
    filters = {noise: wiener(max(noise, LEAST_NOISE)) for noise in {condition.noise for condition in conditions}}
    left_out = _LEFT_OUT + (_ALIKE if scan_degradation.keeps_grid else ())
    figures: dict[tuple[int, str, str], list[dict[str, float]]] = defaultdict(list)
    for number, (subject, hr, counted) in enumerate(_chosen(scans, scan_degradation, every, neighbours)):
        hr = hr / intensity_scale(scan_degradation(hr))
        truth = scan_degradation.independent_images(counted(hr))
        inside = torch.as_tensor(foreground_mask(truth, spatial_dims=truth.ndim - 2))
        for place, condition in enumerate(conditions):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed + 10_000 * place + number)
                lr = scan_degradation.by_image(condition.measure, hr)
            methods = classical_methods(scan_degradation, filters[condition.noise])
            own, size = counted(lr), counted(hr).shape[2:]
            images = {name: enlarge(own, size) for name, enlarge in methods.items() if name not in left_out}
            for name, model in models.items():
                images[name] = counted(model(lr))[tuple(slice(n) for n in counted(hr).shape)]
            for name, image in images.items():
                pred = scan_degradation.independent_images(image)
                found = (psnr(pred, truth), ssim(pred, truth), psnr(pred, truth, inside))
                figures[place, subject, name].append(dict(zip(_FIGURES, found, strict=True)))
    return [
        {
            "degradation": conditions[place].name,
            "noise": conditions[place].noise,
            "held_out": conditions[place].held_out,
            "subject": subject,
            "method": method,
            **{figure: fmean(one[figure] for one in found) for figure in _FIGURES},
        }
        for (place, subject, method), found in sorted(figures.items(), key=lambda entry: entry[0][0])
    ]


def chosen_slices(count: int, every: int, neighbours: int) -> tuple[list[int], slice]:
    """Choose slices with their neighbours.

    Returns:
        The numbers of the slices, those beyond the ends replaced by the last; and which of these are the chosen ones.
    """
    chosen = list(range(min(every // 2, count // 2), count, every))
    around = range(-neighbours, neighbours + 1)
    numbers = [min(max(slice_ + offset, 0), count - 1) for slice_ in chosen for offset in around]
    return numbers, slice(neighbours, None, len(around))


def gains(cells: Sequence[Cell], method: str) -> dict[str, dict[str, float]]:
    """Return what a method gains in dB, over the clean cells and over the noisy ones.

    Returns:
        For "clean" and "noisy" the mean and the lowest gain "over_cubic" and "over_best_classical" of the same cell.
    """
    result = {}
    for name, group in (("clean", [c for c in cells if not c.noise]), ("noisy", [c for c in cells if c.noise])):
        if group:
            over_cubic = [cell.gain(method, REFERENCE) for cell in group]
            over_best = [cell.gain(method, cell.best_classical) for cell in group]
            result[name] = {
                "over_cubic_mean": fmean(over_cubic),
                "over_cubic_lowest": min(over_cubic),
                "over_best_classical_mean": fmean(over_best),
                "over_best_classical_lowest": min(over_best),
            }
    return result


def robustness_metrics(cells: Sequence[Cell], models: Sequence[str]) -> dict[str, float]:
    """Return the figures of models by flat names that MLflow takes.

    The gains are `<model>_clean_over_cubic_mean` and the like, and the PSNR under each condition is
    `<model>_psnr/<degradation> <noise> noise`, without the commas of the degradation's name.
    """
    metrics: dict[str, float] = {}
    for model in models:
        for group, found in gains(cells, model).items():
            metrics |= {f"{model}_{group}_{name}": value for name, value in found.items()}
        for cell in cells:
            condition = f"{cell.degradation} {cell.noise:g} noise" if cell.noise else cell.degradation
            name = re.sub(r"[^-. \w]", "", condition)
            metrics[f"{model}_psnr/{name}"] = cell.methods[model]["psnr"]
    return metrics


def cells_of(rows: Sequence[Row], models: Sequence[str]) -> list[Cell]:
    """Average the rows of `robustness_rows` over subjects."""
    grouped: dict[tuple[str, float, bool], dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        grouped[row["degradation"], row["noise"], row["held_out"]][row["method"]].append(row)
    cells = []
    for (degradation, noise, held_out), methods in grouped.items():
        means = {name: {k: fmean(row[k] for row in found) for k in _FIGURES} for name, found in methods.items()}
        classical = [name for name in means if name not in models]
        best = max(classical, key=lambda name: means[name]["psnr"])
        cells.append(Cell(degradation, noise, held_out, means, best))
    return cells


def robustness_markdown(cells: Sequence[Cell], models: Sequence[str], subjects: int) -> str:
    """Return the table of PSNR, and what the models gain, as Markdown."""
    methods = list(cells[0].methods)
    lines = [
        "# Robustness",
        "",
        f"PSNR of the whole image in dB, mean over {subjects} subjects; the best of each row in bold. "
        "* is not in the family of degradations that the default weights are trained on.",
        "",
        f"| degradation | {' | '.join(methods)} |",
        f"| --- |{' ---: |' * len(methods)}",
    ]
    for cell in cells:
        values = {name: found["psnr"] for name, found in cell.methods.items()}
        top = max(values.values())
        shown = (f"**{value:.2f}**" if value == top else f"{value:.2f}" for value in values.values())
        lines.append(f"| {cell.title} | {' | '.join(shown)} |")
    lines += [
        "",
        "Gain in dB: mean over the rows, and in brackets the lowest. The best classical method is that of each row.",
        "",
        "| | over cubic, clean | over cubic, noisy | over the best classical, clean | over the best classical, noisy |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for model in models:
        found = gains(cells, model)
        shown = (
            f"{found[group][f'{over}_mean']:+.2f} [{found[group][f'{over}_lowest']:+.2f}]" if group in found else ""
            for over in ("over_cubic", "over_best_classical")
            for group in ("clean", "noisy")
        )
        lines.append(f"| {model} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def write_robustness(
    rows: Sequence[Row], models: Sequence[str], output_dir: str | Path, origin: Mapping[str, Any]
) -> None:
    """Write robustness.csv, robustness.json, robustness.md and the heat map robustness.png.

    Args:
        rows: as `robustness_rows` returns them.
        models: which of the methods are networks.
        output_dir: the folder; made if it does not exist.
        origin: further entries of robustness.json.

    Raises:
        InputError: if a file cannot be written.
    """
    folder = Path(output_dir)
    cells = cells_of(rows, models)
    subjects = sorted({row["subject"] for row in rows})
    replace_file(folder / "robustness.csv", csv_text(rows, _COLUMNS))
    content = {"cells": [vars(cell) for cell in cells], "gains": {m: gains(cells, m) for m in models}}
    replace_file(folder / "robustness.json", json_text({**content, "subjects": subjects, **origin}))
    text = robustness_markdown(cells, models, len(subjects))
    replace_file(folder / "robustness.md", text)
    methods = [name for name in cells[0].methods if name != REFERENCE]
    heat_map(
        folder / "robustness.png",
        [[cell.gain(name, REFERENCE) for name in methods] for cell in cells],
        [cell.title for cell in cells],
        methods,
        "PSNR over cubic, dB   (* not in the training family)",
    )
    _logger.info("%s\n%s", folder / "robustness.md", text)


@dataclass(frozen=True)
class _Counted:
    """Cut the counted slices out of a volume; None counts all."""

    axis: int
    slices: slice | None

    def __call__(self, image: Tensor) -> Tensor:
        return image if self.slices is None else image[(slice(None),) * self.axis + (self.slices,)]


def _chosen(
    scans: Iterable[Mapping[str, Any]], degradation: Degradation, every: int, neighbours: int
) -> Iterator[tuple[str, Tensor, _Counted]]:
    """Give the subject and the chosen part of each chosen scan, and which of its slices count."""
    seen: dict[str, int] = defaultdict(int)
    for scan in tqdm(scans, desc="robustness", unit="scan"):
        subject = scan["subject"]
        seen[subject] += 1
        if (seen[subject] - 1) % every:
            continue
        hr = torch.as_tensor(scan["label"]).as_subclass(Tensor)[None, ::every].float()
        axis = degradation.slice_axis % 3 + 2
        if hr.ndim < 5 or not isinstance(degradation, SliceBySlice):
            yield subject, hr, _Counted(axis, None)
        else:
            numbers, counted = chosen_slices(hr.shape[axis], every, neighbours)
            yield subject, hr.index_select(axis, torch.tensor(numbers)), _Counted(axis, counted)
