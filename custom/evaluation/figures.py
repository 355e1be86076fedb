"""What all pictures share: a dark background, the titles of the methods, the font size, and writing PNG files.

Pictures are drawn by matplotlib's objects without pyplot. So there is no global state, and any thread may draw.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from custom.storage import whole_file

__all__ = ["ACCENT", "BACKGROUND", "FONT_SIZE", "GREY", "TEXT", "dark_figure", "method_title", "save_figure"]

#: Colours: of the background, of text, of text that matters less, and of boxes and lines on images.
BACKGROUND, TEXT, GREY, ACCENT = "#0e0f12", "#f2f2f2", "#a8adb5", "#ffb000"

#: The size of text in points; titles are larger.
FONT_SIZE = 9.0

_DOTS_PER_INCH = 150

_TITLES = {
    "truth": "HR",
    "nearest": "LR (nearest)",
    "linear": "Linear",
    "cubic": "Cubic",
    "spline": "Spline",
    "zero_filled": "Zero-filled",
    "wiener": "Wiener",
    "model": "Model",
}


def method_title(name: str) -> str:
    """Return the title of a method's image; the name itself if the method has no title."""
    return _TITLES.get(name, name)


def dark_figure(width: float, height: float) -> Figure:
    """Return an empty figure with a dark background; width and height in inches."""
    figure = Figure(figsize=(width, height), facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure as a PNG file, whole or not at all; missing folders are made.

    Returns:
        The path.

    Raises:
        InputError: if the file cannot be written.
    """
    path = Path(path)
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DOTS_PER_INCH)
    return path
