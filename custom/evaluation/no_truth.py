"""What methods do where no truth is known: scans at their own resolution, and phantoms."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from custom.arrays.intensity import foreground_mask, intensity_scale
from custom.degradations import Degradation, SliceBySlice
from custom.evaluation.figures import ACCENT, FONT_SIZE, GREY, TEXT, dark_figure, method_title, save_figure
from custom.evaluation.phantoms import LEVEL, phantom_figures, phantoms, shift_error
from custom.evaluation.pictures import detail_box
from custom.evaluation.robustness import chosen_slices
from custom.evaluation.summary import REFERENCE, Row
from custom.evaluation.tables import csv_text
from custom.metrics import find_blood_pool
from custom.storage import replace_file

__all__ = ["flat_regions", "no_truth_rows", "pool_region", "write_no_truth"]

_logger = logging.getLogger(__name__)

_FIGURES = (
    "mean",
    "sd",
    "sd_over_cubic",
    "lowest",
    "highest",
    "overshoot_percent",
    "ramp_error_percent",
    "shift_error_percent",
)
_COLUMNS = ("input", "method", *_FIGURES)
_WINDOW = 6  # side of a flat window, in voxels of the input
_FLATTEST = 20  # how many of them
_DETAIL = 56  # side of the detail in the picture, in voxels of the input
_SHOWN_PHANTOMS = ("flat, 3 % noise", "edge")

#: By the name of an input and of a method, what is drawn: (rows, columns).
Panels = dict[str, dict[str, NDArray[np.float32]]]


@torch.no_grad()
def no_truth_rows(
    scans: Iterable[Mapping[str, Any]],
    scan_degradation: Degradation,
    models: Mapping[str, Callable[[Tensor], Tensor]],
    *,
    neighbours: int = 0,
    cine: bool = False,
    seed: int = 0,
) -> tuple[list[Row], Panels]:
    """Sharpen phantoms, and a scan of each subject at its own resolution, and measure what can be known of it.

    All intensities are on a scale of 1000: that of the phantoms, and of scans their intensity scale.

    Args:
        scans: {"subject", "label": `(frames, *spatial)`}; of each subject the one in the middle counts, of it the first
            frame, of which the slice in the middle is measured.
        scan_degradation: the bundle's own, on whose grid cubic interpolates.
        models: by name; each takes `(1, frames, *spatial)` in any units.
        neighbours: how many slices on each side of a slice the models are given.
        cine: whether the scans are cines of the heart, whose blood pool is measured.
        seed: of the noise.

    Returns:
        Rows of "input", "method" and the figures: "mean", "sd" of flat parts (of a scan: of its 20 flattest windows of
        6 x 6 voxels in the foreground, or of the blood pool), "sd_over_cubic", "lowest" and "highest" of the result,
        and those of `phantom_figures` and `shift_error`. And what the picture shows.
    """
    methods = {REFERENCE: lambda lr: scan_degradation.upsample(lr, REFERENCE), **models}
    rows: list[Row] = []
    panels: Panels = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = phantoms(scan_degradation)
    for name, lr in made.items():
        results = {method: enlarge(lr) for method, enlarge in methods.items()}
        found = [
            {"input": name, "method": method, **phantom_figures(name, result, scan_degradation)}
            for method, result in results.items()
        ]
        rows += _with_ratio(found)
        if name in _SHOWN_PHANTOMS:
            panels[name] = _panels(lr, results, scan_degradation)
    for subject, lr in _native(scans, scan_degradation, neighbours):
        results = {method: enlarge(lr) for method, enlarge in methods.items()}
        shown = panels[subject] = _panels(lr, results, scan_degradation)
        regions = {"flat parts": flat_regions(shown["input"])}
        if cine and (pool := pool_region(shown["input"])) is not None:
            regions["blood pool"] = [pool]
        whole = {
            method: {
                "lowest": float(shown[method].min()),
                "highest": float(shown[method].max()),
                "shift_error_percent": shift_error(enlarge, lr, results[method]),
            }
            for method, enlarge in methods.items()
        }
        for place, region in regions.items():
            found = [
                {"input": f"{subject}, {place}", "method": method, **_region_figures(shown[method], region), **figures}
                for method, figures in whole.items()
            ]
            rows += _with_ratio(found)
    return rows, panels


def flat_regions(image: NDArray[np.float32]) -> list[NDArray[np.bool_]]:
    """Find the flattest windows of 6 x 6 pixels in the foreground of an image (rows, columns), 20 at most.

    Windows do not overlap. An image without a window in its foreground gives none.
    """
    inside = foreground_mask(image)
    rows, columns = (n // _WINDOW for n in image.shape)
    blocks = image[: rows * _WINDOW, : columns * _WINDOW].reshape(rows, _WINDOW, columns, _WINDOW)
    whole = inside[: rows * _WINDOW, : columns * _WINDOW].reshape(rows, _WINDOW, columns, _WINDOW).all(axis=(1, 3))
    spread = np.where(whole, blocks.std(axis=(1, 3)), np.inf)
    regions = []
    for place in np.argsort(spread, axis=None, kind="stable")[:_FLATTEST]:
        row, column = divmod(int(place), columns)
        if np.isfinite(spread[row, column]):
            region = np.zeros(image.shape, bool)
            region[row * _WINDOW : (row + 1) * _WINDOW, column * _WINDOW : (column + 1) * _WINDOW] = True
            regions.append(region)
    return regions


def pool_region(image: NDArray[np.float32]) -> NDArray[np.bool_] | None:
    """Find the inside of the blood pool of a slice (rows, columns), 2 pixels from its edge; None without a pool."""
    pool = find_blood_pool(torch.from_numpy(image)[None])
    if pool is None:
        return None
    blood = pool.region & (image > pool.threshold)
    inside: NDArray[np.bool_] = ndimage.binary_erosion(ndimage.binary_fill_holes(blood), iterations=2)
    return inside if inside.any() else None


def no_truth_markdown(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    headings = [name.replace("_percent", " (%)").replace("_", " ") for name in _COLUMNS]
    lines = [
        "# Without a truth",
        "",
        "Phantoms of 1000, and test scans enlarged from their own resolution, their intensity scale set to 1000. Mean "
        "and sd are of flat parts; the shift error is the largest difference between the enlargement of an image less "
        "50 and its enlargement less 50.",
        "",
        f"| {' | '.join(headings)} |",
        f"| --- | --- |{' ---: |' * len(_FIGURES)}",
    ]
    for row in rows:
        values = (row.get(name, math.nan) for name in _FIGURES)
        cells = ("" if math.isnan(value) else f"{value:.2f}" for value in values)
        lines.append(f"| {row['input']} | {row['method']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def write_no_truth(rows: Sequence[Row], panels: Panels, output_dir: str | Path, centre: bool = False) -> None:
    """Write no_truth.csv, no_truth.md and the picture no_truth.png.

    The picture has a row for each input: a part of it as it is, and by each method.

    Args:
        rows: as `no_truth_rows` returns them, as is the next.
        panels: what is drawn.
        output_dir: the folder; made if it does not exist.
        centre: of scans the middle is shown, as for hearts; else where they have most detail.

    Raises:
        InputError: if a file cannot be written.
    """
    folder = Path(output_dir)
    replace_file(folder / "no_truth.csv", csv_text(rows, _COLUMNS))
    text = no_truth_markdown(rows)
    replace_file(folder / "no_truth.md", text)
    _logger.info("%s\n%s", folder / "no_truth.md", text)
    _picture(panels, folder / "no_truth.png", centre)


def _picture(panels: Panels, path: Path, centre: bool) -> None:
    columns = len(next(iter(panels.values())))
    figure = dark_figure(3.2 * columns, 3.2 * len(panels) + 0.4)
    grid = figure.add_gridspec(
        len(panels), columns, left=0.03, right=0.995, top=1 - 0.35 / (3.2 * len(panels) + 0.4), bottom=0.005,
        wspace=0.02, hspace=0.03,
    )  # fmt: skip
    for row, (name, images) in enumerate(panels.items()):
        own = images["input"]
        side = min(_DETAIL, *own.shape)
        top, left = ((n - side) // 2 for n in own.shape)
        if not (centre or name in _SHOWN_PHANTOMS):
            top, left = detail_box(own, foreground_mask(own), side)
        detail = own[top : top + side, left : left + side]
        # Noise on a bright ground is seen on a scale of its own.
        window = (min(0.0, float(own.min())) if detail.min() < detail.max() / 2 else float(detail.min()), detail.max())
        for column, (method, image) in enumerate(images.items()):
            s, t = (big // small for big, small in zip(image.shape, own.shape, strict=True))
            axes = figure.add_subplot(grid[row, column])
            axes.imshow(
                image[s * top : s * (top + side), t * left : t * (left + side)],
                cmap="gray", vmin=window[0], vmax=window[1], interpolation="nearest", aspect="auto",
            )  # fmt: skip
            axes.set(xticks=[], yticks=[])
            for spine in axes.spines.values():
                spine.set(color=ACCENT if method == "input" else GREY, linewidth=0.8)
            if row == 0:
                title = "Input" if method == "input" else method_title(method)
                axes.set_title(title, color=TEXT, fontsize=FONT_SIZE * 1.3)
            if column == 0:
                axes.set_ylabel(name, color=TEXT, fontsize=FONT_SIZE)
    save_figure(figure, path)


def _native(
    scans: Iterable[Mapping[str, Any]], degradation: Degradation, neighbours: int
) -> Iterable[tuple[str, Tensor]]:
    """Give of each subject one slice between its neighbours, or a whole volume, on the scale of the phantoms."""
    by_subject: dict[str, list[Tensor]] = {}
    for scan in scans:
        by_subject.setdefault(scan["subject"], []).append(torch.as_tensor(scan["label"]).as_subclass(Tensor)[None, :1])
    for subject, images in by_subject.items():
        image = images[len(images) // 2].float()
        if image.ndim == 5 and isinstance(degradation, SliceBySlice):
            axis = degradation.slice_axis % 3 + 2
            count = image.shape[axis]
            numbers, _ = chosen_slices(count, count, neighbours)
            image = image.index_select(axis, torch.tensor(numbers))
        yield subject, image * (LEVEL / intensity_scale(image))


def _panels(lr: Tensor, results: Mapping[str, Tensor], degradation: Degradation) -> dict[str, NDArray[np.float32]]:
    """Return the middle slice of the input and of each result, (rows, columns)."""

    def picture(image: Tensor) -> NDArray[np.float32]:
        slices = image.movedim(degradation.slice_axis % 3 + 2, 2)[0, 0] if image.ndim == 5 else image[0]
        found: NDArray[np.float32] = slices[len(slices) // 2].float().cpu().numpy()
        return found

    return {"input": picture(lr), **{method: picture(result) for method, result in results.items()}}


def _region_figures(image: NDArray[np.float32], regions: Sequence[NDArray[np.bool_]]) -> dict[str, float]:
    """Return the mean, and the mean standard deviation, of an enlarged image in regions of its input."""
    if not regions:
        return {"mean": math.nan, "sd": math.nan}
    s, t = (big // small for big, small in zip(image.shape, regions[0].shape, strict=True))
    values = [image[region.repeat(s, axis=0).repeat(t, axis=1)] for region in regions]
    return {
        "mean": float(np.mean([part.mean() for part in values])),
        "sd": float(np.mean([part.std() for part in values])),
    }


def _with_ratio(rows: list[Row]) -> list[Row]:
    """Add the ratio of the standard deviation to that of cubic, the first row, where that is not 0."""
    reference = rows[0].get("sd", math.nan)
    for row in rows:
        row["sd_over_cubic"] = row.get("sd", math.nan) / reference if reference > 1e-3 else math.nan
    return rows
