"""What all pictures of images have in common: dark ground, the names of the methods, and how they become PNG files.

Drawn through matplotlib's objects alone, without pyplot: no global state, so it may run in any thread.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from custom.storage import whole_file

__all__ = ["ACCENT", "BACKGROUND", "QUIET", "TEXT", "dark_figure", "method_title", "save_figure"]

BACKGROUND, TEXT, QUIET, ACCENT = "#0e0f12", "#f2f2f2", "#a8adb5", "#ffb000"

_TITLES = {
    "truth": "HR",
    "nearest": "LR (nearest)",
    "linear": "Linear",
    "cubic": "Cubic",
    "zero_filled": "Zero-filled",
    "model": "Model",
}


def method_title(name: str) -> str:
    """Return what stands above the image of a method."""
    return _TITLES.get(name, name)


def dark_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches."""
    figure = Figure(figsize=(width, height), facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: str | Path, dpi: int) -> Path:
    """Write a PNG that is never half there; folders are made.

    Raises:
        InputError: if the file cannot be written.
    """
    path = Path(path)
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dpi)
    return path
