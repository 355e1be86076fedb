"""M-mode pictures: the signal along one line through the wall of the heart, over time, by each method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from custom.evaluation.figures import (
    ACCENT,
    BACKGROUND,
    FONT_SIZE,
    GREY,
    TEXT,
    dark_figure,
    method_title,
    save_figure,
)
from custom.metrics import find_blood_pool

__all__ = ["Line", "line_through", "m_mode_picture"]

Image = NDArray[np.float32]

# The line reaches this many radii of the blood pool to each side of its middle, so that it crosses the walls.
_REACH = 2.0


@dataclass(frozen=True)
class Line:
    """A line of pixels in a slice.

    Attributes:
        axis: 0 for a line down a column, 1 for a line along a row.
        position: the number of that column or row.
        start: its first pixel.
        stop: the pixel after its last one.
    """

    axis: int
    position: int
    start: int
    stop: int

    def over_time(self, frames: Tensor) -> Image:
        """Return the signal along the line, (pixels, frames), of a slice (frames, rows, columns)."""
        along = frames.select(2 if self.axis == 0 else 1, self.position)[:, self.start : self.stop]
        found: Image = along.detach().float().cpu().numpy().T
        return found


def line_through(truth: Tensor) -> Line:
    """Return a line through the middle of the blood pool: down or across, whichever has more motion on it.

    If no blood pool is found, the line runs over the whole slice, through the pixel with most motion.

    Args:
        truth: (frames, rows, columns).
    """
    frames = truth.detach().float().cpu().numpy()
    motion = frames.std(axis=0)
    pool = find_blood_pool(truth)
    if pool is None:
        row, column = np.unravel_index(int(motion.argmax()), motion.shape)
        reach = float(max(motion.shape))
    else:
        row, column = np.argwhere(pool.region).mean(axis=0)
        reach = _REACH * float(np.sqrt(pool.region.sum() / np.pi))
    place = (round(float(row)), round(float(column)))
    lines = [
        Line(axis, place[1 - axis], max(0, int(place[axis] - reach)), min(size, int(place[axis] + reach) + 1))
        for axis, size in enumerate(motion.shape)
    ]
    return max(lines, key=lambda line: float(line.over_time(truth).std(axis=1).sum()))


def m_mode_picture(path: str | Path, frames: Mapping[str, Tensor], title: str) -> Path:
    """Write a PNG with the slice and its line, and with the line over time by each method above its error.

    All images share one grey window, and all errors one scale. The phases run from left to right.

    Args:
        path: of the PNG; missing folders are made.
        frames: the slice by each method, (frames, rows, columns), data range 1; the truth is the first.
        title: printed above.

    Returns:
        The path.

    Raises:
        InputError: if the file cannot be written.
    """
    names = list(frames)
    truth = frames[names[0]]
    line = line_through(truth)
    lines = {name: line.over_time(image) for name, image in frames.items()}
    reference = lines[names[0]]
    first = truth[0].detach().float().cpu().numpy()
    window = (min(0.0, float(reference.min())), float(np.quantile(reference, 0.995)) or 1.0)
    errors = {name: np.abs(image - reference) for name, image in lines.items() if name != names[0]}
    limit = max((float(np.quantile(error, 0.995)) for error in errors.values()), default=0.0) or 1.0

    figure = dark_figure(2.3 * (len(names) + 1), 5.0)
    grid = figure.add_gridspec(
        2, len(names) + 1, left=0.015, right=0.985, top=0.86, bottom=0.09, wspace=0.06, hspace=0.12
    )
    figure.suptitle(title, color=TEXT, fontsize=1.35 * FONT_SIZE, fontweight="bold", x=0.015, ha="left")
    panels = figure.add_subplot(grid[0, 0])
    panels.imshow(first, cmap="gray", vmin=window[0], vmax=window[1])
    ends = ([line.position] * 2, [line.start, line.stop - 1])
    panels.plot(*(ends if line.axis == 0 else ends[::-1]), color=ACCENT, linewidth=1.2)
    panels.set_title("HR, first phase", color=TEXT, fontsize=1.15 * FONT_SIZE)
    plain = [panels]
    for number, name in enumerate(names, start=1):
        panel = figure.add_subplot(grid[0, number])
        panel.imshow(lines[name], cmap="gray", vmin=window[0], vmax=window[1], aspect="auto", interpolation="nearest")
        panel.set_title(method_title(name), color=TEXT, fontsize=1.15 * FONT_SIZE)
        plain.append(panel)
        if name == names[0]:
            panel.set_xlabel(f"{reference.shape[1]} phases", color=GREY, fontsize=FONT_SIZE)
            continue
        below = figure.add_subplot(grid[1, number])
        shown = below.imshow(errors[name], cmap="inferno", vmin=0, vmax=limit, aspect="auto", interpolation="nearest")
        below.set_xlabel(f"MAE {errors[name].mean():.4f}", color=TEXT, fontsize=FONT_SIZE)
        plain.append(below)
    if errors:
        scale = figure.add_axes((0.06, 0.09, 0.012, 0.33))
        bar = figure.colorbar(shown, cax=scale)
        bar.ax.tick_params(colors=TEXT, labelsize=0.9 * FONT_SIZE)
        figure.text(0.11, 0.255, "Absolute error\nof data range 1", color=TEXT, fontsize=FONT_SIZE, va="center")
    for panel in plain:
        panel.set(xticks=[], yticks=[], facecolor=BACKGROUND)
    return save_figure(figure, path)
