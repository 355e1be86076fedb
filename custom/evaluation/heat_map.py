"""A table as a picture: each number on a colour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from custom.evaluation.figures import BACKGROUND, FONT_SIZE, TEXT, dark_figure, method_title, save_figure

__all__ = ["heat_map"]

# A gain that matters is not to be pale beside a larger one.
_LIMIT = 3.0

_CELL_WIDTH, _CELL_HEIGHT = 0.95, 0.25  # inches
_LABELS, _TOP, _EDGE = 2.9, 0.75, 0.15  # inches: left of the cells, above them, and around all


def heat_map(
    path: str | Path, values: Sequence[Sequence[float]], rows: Sequence[str], columns: Sequence[str], title: str
) -> Path:
    """Write a table of differences as a PNG: blue above 0, red below, white at 0, fully coloured from 3 on.

    Args:
        path: of the PNG; missing folders are made.
        values: for each row one for each column.
        rows: the names of the rows.
        columns: the names of the methods.
        title: printed above.

    Returns:
        The path.

    Raises:
        InputError: if the file cannot be written.
    """
    table = np.asarray(values, dtype=float)
    width = _LABELS + len(columns) * _CELL_WIDTH + _EDGE
    height = _TOP + len(rows) * _CELL_HEIGHT + _EDGE
    figure = dark_figure(width, height)
    axes = figure.add_axes(
        (_LABELS / width, _EDGE / height, 1 - (_LABELS + _EDGE) / width, 1 - (_TOP + _EDGE) / height)
    )
    axes.imshow(table, cmap="RdBu", vmin=-_LIMIT, vmax=_LIMIT, aspect="auto")
    for row, column in np.ndindex(*table.shape):
        pale = abs(table[row, column]) < 0.6 * _LIMIT
        axes.text(
            column, row, f"{table[row, column]:+.2f}", ha="center", va="center", fontsize=FONT_SIZE * 0.9,
            color="black" if pale else "white",
        )  # fmt: skip
    axes.set_xticks(range(len(columns)), [method_title(name) for name in columns])
    axes.set_yticks(range(len(rows)), rows)
    axes.xaxis.tick_top()
    axes.tick_params(colors=TEXT, labelsize=FONT_SIZE, length=0)
    axes.set_xticks(np.arange(len(columns) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(rows) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color=BACKGROUND, linewidth=1.5)
    axes.tick_params(which="minor", length=0)
    figure.suptitle(title, color=TEXT, fontsize=FONT_SIZE * 1.2, x=_EDGE / width, ha="left", y=1 - _EDGE / height)
    return save_figure(figure, path)
