"""The picture of a comparison: the image by each method, a detail of it, and the map of its errors."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from custom.errors import UsageError
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
from custom.evaluation.planes import Plane, foreground_box, plane_of

__all__ = ["comparison_picture", "detail_box", "frame_title", "picture_name"]

Image = NDArray[np.float32]

_COLUMN, _GAP, _EDGE = 2.5, 0.08, 0.16  # inches: the width of a panel, between panels, and around all of them
_LINE = FONT_SIZE / 72 * 1.6  # inches: the height of a line of text
_SCALE = 3.2 * _LINE  # inches: the smallest height of the scale of the error maps, with its three lines of text


@dataclass(frozen=True)
class _Row:
    """A row of panels: its height, and the room above and below it for text, in inches."""

    height: float
    above: float = 0.0
    below: float = _GAP


def comparison_picture(
    path: str | Path,
    hr: Tensor,
    images: Mapping[str, Tensor],
    scores: Mapping[str, tuple[float, float]],
    mask: Tensor | None = None,
    affine: NDArray[np.float64] | None = None,
    slice_axis: int = -1,
    title: str = "",
    zoom: Literal["detail", "centre"] = "detail",
) -> Path:
    """Write a PNG with HR and the methods side by side, a detail of each, and error maps on one scale.

    A volume is shown in the slice in the middle of the foreground, and in two planes at right angles to it. Of several
    frames the first is shown, and the title says so. With an affine, the planes are upright (superior or anterior is
    up), the patient's right or front is at the left, and the voxels have their true shape. The place of the detail does
    not depend on the errors of the methods.

    Args:
        path: of the PNG; missing folders are made.
        hr: the truth, (1, frames, *spatial), 2 or 3 spatial axes, data range 1.
        images: the methods by name, each of the same shape.
        scores: PSNR in dB and SSIM of each method, printed below its errors.
        mask: the foreground, of the same shape or with one frame; without it all voxels are foreground.
        affine: voxel to world (RAS+, mm), 4 x 4; without it the array is shown as it is.
        slice_axis: the spatial axis across the main plane, if there are three.
        title: printed above, such as the subject.
        zoom: "detail" zooms to where HR has most detail in the foreground, "centre" to the middle of the foreground.

    Returns:
        The path.

    Raises:
        UsageError: for an unknown `zoom`.
        InputError: if the file cannot be written.
    """
    if zoom not in ("detail", "centre"):
        raise UsageError(f"zoom is {zoom!r}; choose detail or centre")
    arrays = {"HR": _array(hr), **{name: _array(image) for name, image in images.items()}}
    inside = np.ones(arrays["HR"].shape, bool) if mask is None else _array(mask) > 0
    figure = _draw(arrays, scores, inside, affine, slice_axis, frame_title(title, hr), hr.shape[1], zoom)
    return save_figure(figure, path)


def frame_title(title: str, image: Tensor) -> str:
    """Return a title that says, if an image (1, frames, *spatial) has several frames, that the first is shown."""
    frames = image.shape[1]
    return title if frames == 1 else f"{title}{', ' if title else ''}frame 1 of {frames}"


def picture_name(subject: str) -> str:
    """Return the file name of a subject's picture: `<subject>.png`.

    Characters other than letters, digits, ".", "_" and "-" are replaced, and part of the name's sha256 is added, so
    that two subjects have two names.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", subject).lstrip("._-")[:80]
    if safe != subject:
        safe = f"{safe or 'subject'}-{hashlib.sha256(subject.encode()).hexdigest()[:8]}"
    return f"{safe}.png"


def detail_box(hr: Image, mask: NDArray[np.bool_], side: int) -> tuple[int, int]:
    """Return the upper left corner (row, column) of the box in which an image has most detail.

    Detail is the sum of the squared gradient. The gradient is limited to its 95th percentile, so that one bright vessel
    does not decide. The rim of the mask is left out, because the step to the background is not a detail.

    Args:
        hr: (rows, columns).
        mask: the foreground, of the same shape.
        side: of the box, in pixels.
    """
    energy = np.zeros(hr.shape)
    for axis in (axis for axis in (0, 1) if hr.shape[axis] > 1):
        energy += np.square(np.gradient(hr.astype(np.float64), axis=axis))
    inner = ndimage.binary_erosion(mask, iterations=max(1, side // 8))
    if not inner.any():
        inner = mask if mask.any() else np.ones_like(mask)
    energy = np.where(inner, energy, 0)
    if energy.any():
        energy = np.minimum(energy, np.quantile(energy[energy > 0], 0.95))
    sums = np.pad(energy, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    boxes = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    row, column = divmod(int(boxes.argmax()), boxes.shape[1])
    return row, column


def _draw(
    arrays: Mapping[str, Image],
    scores: Mapping[str, tuple[float, float]],
    inside: NDArray[np.bool_],
    affine: NDArray[np.float64] | None,
    slice_axis: int,
    title: str,
    frames: int,
    zoom: str,
) -> Figure:
    hr = arrays["HR"]
    shown = hr[inside] if inside.any() else hr
    window = (min(0.0, float(hr.min())), float(np.quantile(shown, 0.995)) or 1.0)
    axes = range(hr.ndim)
    main_axis = axes[slice_axis] if hr.ndim == 3 else None
    planes = [plane_of(inside, affine, main_axis)]
    if main_axis is not None:
        planes += [plane_of(inside, affine, axis) for axis in reversed(axes) if axis != main_axis]

    main = {name: planes[0].cut(array) for name, array in arrays.items()}
    body = planes[0].cut(inside)
    view = foreground_box(body)
    shown_planes = [(planes[0], view), *((plane, foreground_box(plane.cut(inside))) for plane in planes[1:])]
    side = max(8, min(*body.shape, round(min(main["HR"][view].shape) * 0.28)))
    side = min(side, *body.shape)
    if zoom == "detail":
        corner = detail_box(main["HR"], body, side)
    else:
        middle = [(part.start + part.stop - side) // 2 for part in view]
        corner = (min(max(middle[0], 0), body.shape[0] - side), min(max(middle[1], 0), body.shape[1] - side))
    box = (slice(corner[0], corner[0] + side), slice(corner[1], corner[1] + side))
    errors = {name: np.abs(image - main["HR"]) for name, image in main.items() if name != "HR"}
    limit = float(max(np.quantile(error[view], 0.995) for error in errors.values())) or 1.0

    # A panel that is too thin for its letters has them below.
    heights = [_height(plane.cut(hr)[part], plane.aspect) for plane, part in shown_planes]
    below = [_LINE if height < 3 * _LINE else _GAP for height in heights]
    rows = [
        _Row(heights[0], above=_LINE * (2.9 if title else 1.7), below=below[0]),
        _Row(_COLUMN * min(1.4, planes[0].aspect)),
        _Row(heights[0], above=max(0.0, _SCALE - heights[0]), below=_LINE * 2.9),
        *(_Row(height, below=room) for height, room in zip(heights[1:], below[1:], strict=True)),
    ]
    canvas = _Canvas(rows, len(arrays))
    if title:
        canvas.text(_EDGE, _LINE * 0.9, title, fontsize=FONT_SIZE * 1.35, fontweight="bold")

    for column, (name, image) in enumerate(main.items()):
        panel = canvas.panel(0, column, image[view], window, planes[0].aspect)
        panel.set_title(method_title(name), color=TEXT, fontsize=FONT_SIZE * 1.15, pad=FONT_SIZE * 0.5)
        _outline(panel, corner, side, view)
        if column == 0:
            canvas.label(panel, 0, planes[0])
        detail = canvas.panel(1, column, image[box], window, planes[0].aspect, interpolation="nearest")
        for spine in detail.spines.values():
            spine.set(visible=True, color=ACCENT, linewidth=1.2)
        if name != "HR":
            panel = canvas.panel(2, column, errors[name][view], (0, limit), planes[0].aspect, colours="inferno")
            found = scores.get(name)
            caption = "" if found is None else f"PSNR {found[0]:.2f} dB\nSSIM {found[1]:.4f}"
            canvas.caption(2, column, caption)
    extent = "the whole " + ("image" if main_axis is None else "volume") if frames == 1 else f"all {frames} frames"
    canvas.caption(2, 0, f"PSNR and SSIM over\n{extent}", GREY)
    canvas.colour_bar(2, limit)
    for row, (plane, part) in enumerate(shown_planes[1:], start=3):
        for column, array in enumerate(arrays.values()):
            panel = canvas.panel(row, column, plane.cut(array)[part], window, plane.aspect)
            if column == 0:
                canvas.label(panel, row, plane)
    return canvas.figure


class _Canvas:
    """A figure whose panels are placed in inches, so that images keep their shape and nothing overlaps."""

    def __init__(self, rows: list[_Row], columns: int) -> None:
        self.rows = rows
        self.width = 2 * _EDGE + columns * _COLUMN + (columns - 1) * _GAP
        self.height = sum(row.above + row.height + row.below for row in rows) + _EDGE
        self.figure = dark_figure(self.width, self.height)

    def place(self, left: float, top: float, width: float, height: float) -> tuple[float, float, float, float]:
        """Return a box as fractions of the figure; it is given in inches from the upper left corner."""
        return left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height

    def corner(self, row: int, column: int) -> tuple[float, float]:
        """Return the left and upper edge of a panel, in inches from the upper left corner of the figure."""
        top = sum(r.above + r.height + r.below for r in self.rows[:row]) + self.rows[row].above
        return _EDGE + column * (_COLUMN + _GAP), top

    def panel(
        self,
        row: int,
        column: int,
        image: Image,
        window: tuple[float, float],
        aspect: float,
        colours: str = "gray",
        interpolation: str = "auto",
    ) -> Axes:
        """Show an image (rows, columns) as the panel of a row and column."""
        left, top = self.corner(row, column)
        axes = self.figure.add_axes(self.place(left, top, _COLUMN, self.rows[row].height))
        axes.imshow(image, cmap=colours, vmin=window[0], vmax=window[1], aspect=aspect, interpolation=interpolation)
        axes.set(xticks=[], yticks=[], facecolor=BACKGROUND)
        for spine in axes.spines.values():
            spine.set_visible(False)
        return axes

    def text(self, left: float, top: float, text: str, **style: Any) -> None:
        """Write text at a place that is given in inches."""
        x, y, _, _ = self.place(left, top, 0, 0)
        self.figure.text(x, y, text, **{"color": TEXT, "fontsize": FONT_SIZE, "va": "center", **style})

    def caption(self, row: int, column: int, text: str, colour: str = TEXT) -> None:
        """Write text below a panel."""
        left, top = self.corner(row, column)
        below = top + self.rows[row].height + FONT_SIZE / 72 * 0.5
        self.text(left + _COLUMN / 2, below, text, color=colour, ha="center", va="top", linespacing=1.35)

    def label(self, panel: Axes, row: int, plane: Plane) -> None:
        """Write the name of a plane and the patient's sides, if known, into a panel, or below it if it is thin."""
        if self.rows[row].below > _GAP:
            left, top = self.corner(row, 0)
            sides = f": {plane.left} at the left, {plane.top} at the top" if plane.left else ""
            middle = top + self.rows[row].height + _LINE / 2
            self.text(left, middle, plane.name + sides, fontsize=FONT_SIZE * 0.85)
            return
        style: dict[str, Any] = {
            "color": TEXT,
            "fontsize": FONT_SIZE * 0.85,
            "transform": panel.transAxes,
            "path_effects": [withStroke(linewidth=2, foreground="black")],
        }
        if plane.name:
            panel.text(0.02, 0.02, plane.name, ha="left", va="bottom", **style)
        if plane.left:
            panel.text(0.02, 0.5, plane.left, ha="left", va="center", **style)
            panel.text(0.5, 0.98, plane.top, ha="center", va="top", **style)

    def colour_bar(self, row: int, limit: float) -> None:
        """Draw the scale of the error maps into the first column, where HR would have its map."""
        left, top = self.corner(row, 0)
        height = max(self.rows[row].height, _SCALE)
        top -= height - self.rows[row].height
        axes = self.figure.add_axes(self.place(left + _COLUMN * 0.62, top + height * 0.08, 0.16, height * 0.84))
        axes.imshow(
            np.linspace(0, 1, 256)[:, None], cmap="inferno", aspect="auto", origin="lower", extent=(0, 1, 0, limit)
        )
        axes.set(xticks=[])
        axes.yaxis.tick_right()
        axes.tick_params(colors=TEXT, labelsize=FONT_SIZE * 0.9)
        for spine in axes.spines.values():
            spine.set(color=GREY, linewidth=0.6)
        self.text(
            left + _COLUMN * 0.04, top + height * 0.5, "Absolute error\n|method - HR|\nof data range 1", linespacing=1.6
        )


def _outline(panel: Axes, corner: tuple[int, int], side: int, view: tuple[slice, slice]) -> None:
    """Draw the box of the detail on a panel that shows the part `view` of the plane."""
    origin = (corner[1] - view[1].start - 0.5, corner[0] - view[0].start - 0.5)
    panel.add_patch(Rectangle(origin, side, side, fill=False, edgecolor=ACCENT, linewidth=1.0))


def _height(image: Image, aspect: float) -> float:
    """Return the height in inches of a panel that is as wide as a column, at most 1.4 times its width."""
    return _COLUMN * min(1.4, image.shape[0] * aspect / image.shape[1])


def _array(image: Tensor) -> Image:
    found: Image = image[0, 0].detach().float().cpu().numpy()
    return found
