"""A picture of a comparison: the images, a zoomed detail, and where each method is wrong."""

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
from custom.evaluation.figures import ACCENT, BACKGROUND, QUIET, TEXT, dark_figure, method_title, save_figure
from custom.evaluation.planes import Plane, foreground_box, plane_of

__all__ = ["comparison_picture", "detail_box", "frame_title", "picture_name"]

Image = NDArray[np.float32]

_COLUMN, _GAP, _EDGE = 2.5, 0.08, 0.16  # inches
_LINE = 1.6  # font sizes


@dataclass(frozen=True)
class _Row:
    """A row of panels: its height in inches, and the room above and below for text."""

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
    font_size: float = 9.0,
    dpi: int = 150,
) -> Path:
    """Draw HR and the methods side by side, a zoomed crop, and error maps on one scale; write a PNG.

    The errors of the methods have no say in where the zoom is. A volume is shown in the slice in the middle of the
    foreground, and in the two planes across it; of several frames the first is shown, which the title says. With an
    affine, planes are upright (superior or anterior up) with the patient's right, or front, at the left, and voxels
    have their shape.

    Args:
        path: of the PNG; folders are made.
        hr: (1, frames, *spatial), the truth, data range 1.
        images: the methods by name, of the same shape; the first is the input as it is.
        scores: PSNR in dB and SSIM by name, to be printed.
        mask: the foreground, of the same shape or with one frame.
        affine: voxel to world (RAS+, mm), 4 x 4.
        slice_axis: the spatial axis across the main plane.
        title: printed above, for example the subject.
        zoom: what the crop shows: "detail", where HR has most of it within the foreground, or the "centre" of the
            foreground, which is what a scan was planned on.
        font_size: in points; panels keep their size.
        dpi: dots an inch.

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
    figure = _draw(arrays, scores, inside, affine, slice_axis, frame_title(title, hr), hr.shape[1], zoom, font_size)
    return save_figure(figure, path, dpi)


def frame_title(title: str, image: Tensor) -> str:
    """Add to a title which frame of an image (1, frames, *spatial) is shown, where there are several."""
    frames = image.shape[1]
    return title if frames == 1 else f"{title}{', ' if title else ''}frame 1 of {frames}"


def picture_name(subject: str) -> str:
    """Return a file name for a subject: `<subject>.png` where it is plain, else made safe and told apart by a hash."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", subject).lstrip("._-")[:80]
    if safe != subject:
        safe = f"{safe or 'subject'}-{hashlib.sha256(subject.encode()).hexdigest()[:8]}"
    return f"{safe}.png"


def detail_box(hr: Image, mask: NDArray[np.bool_], side: int) -> tuple[int, int]:
    """Find the corner (row, column) of the `side` x `side` box where an image has most detail within a mask.

    Detail is the squared gradient, cut off at its 95th percentile, so that one bright vessel does not decide. The
    mask's rim is left out: the step to the background is no detail.
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
    zoom_on: str,
    font_size: float,
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
    if zoom_on == "detail":
        corner = detail_box(main["HR"], body, side)
    else:
        middle = [(part.start + part.stop - side) // 2 for part in view]
        corner = (min(max(middle[0], 0), body.shape[0] - side), min(max(middle[1], 0), body.shape[1] - side))
    zoom = (slice(corner[0], corner[0] + side), slice(corner[1], corner[1] + side))
    errors = {name: np.abs(image - main["HR"]) for name, image in main.items() if name != "HR"}
    limit = float(max(np.quantile(error[view], 0.995) for error in errors.values())) or 1.0

    line = font_size / 72 * _LINE
    # A strip that is too thin for its letters has them below.
    under = [line if _height(plane.cut(hr)[box], plane.aspect) < 3 * line else _GAP for plane, box in shown_planes]
    rows = [
        _Row(_height(main["HR"][view], planes[0].aspect), above=line * (2.9 if title else 1.7), below=under[0]),
        _Row(_COLUMN * min(1.4, planes[0].aspect)),
        _Row(_height(main["HR"][view], planes[0].aspect), below=line * 2.9),
    ]
    others = shown_planes[1:]
    rows += [
        _Row(_height(plane.cut(hr)[box], plane.aspect), below=below)
        for (plane, box), below in zip(others, under[1:], strict=True)
    ]
    canvas = _Canvas(rows, len(arrays), font_size)
    if title:
        canvas.text(_EDGE, line * 0.9, title, fontsize=font_size * 1.35, fontweight="bold")

    for column, (name, image) in enumerate(main.items()):
        panel = canvas.panel(0, column, image[view], window, planes[0].aspect)
        panel.set_title(method_title(name), color=TEXT, fontsize=font_size * 1.15, pad=font_size * 0.5)
        _outline(panel, corner, side, view)
        if column == 0:
            canvas.label(panel, 0, planes[0])
        detail = canvas.panel(1, column, image[zoom], window, planes[0].aspect, interpolation="nearest")
        for spine in detail.spines.values():
            spine.set(visible=True, color=ACCENT, linewidth=1.2)
        if name != "HR":
            panel = canvas.panel(2, column, errors[name][view], (0, limit), planes[0].aspect, colours="inferno")
            found = scores.get(name)
            caption = "" if found is None else f"PSNR {found[0]:.2f} dB\nSSIM {found[1]:.4f}"
            canvas.caption(2, column, caption)
    extent = "the whole " + ("image" if main_axis is None else "volume") if frames == 1 else f"all {frames} frames"
    canvas.caption(2, 0, f"PSNR and SSIM over\n{extent}", QUIET)
    canvas.colour_bar(2, limit)
    for row, (plane, box) in enumerate(others, start=3):
        for column, array in enumerate(arrays.values()):
            panel = canvas.panel(row, column, plane.cut(array)[box], window, plane.aspect)
            if column == 0:
                canvas.label(panel, row, plane)
    return canvas.figure


class _Canvas:
    """A figure whose panels are placed in inches, so that images keep their shape and nothing overlaps."""

    def __init__(self, rows: list[_Row], columns: int, font_size: float) -> None:
        self.rows = rows
        self.font_size = font_size
        self.width = 2 * _EDGE + columns * _COLUMN + (columns - 1) * _GAP
        self.height = sum(row.above + row.height + row.below for row in rows) + _EDGE
        self.figure = dark_figure(self.width, self.height)

    def place(self, left: float, top: float, width: float, height: float) -> tuple[float, float, float, float]:
        """Turn inches from the upper left corner into the figure's fractions."""
        return left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height

    def corner(self, row: int, column: int) -> tuple[float, float]:
        """Return left and top of a panel in inches."""
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
        """Show an image."""
        left, top = self.corner(row, column)
        axes = self.figure.add_axes(self.place(left, top, _COLUMN, self.rows[row].height))
        axes.imshow(image, cmap=colours, vmin=window[0], vmax=window[1], aspect=aspect, interpolation=interpolation)
        axes.set(xticks=[], yticks=[], facecolor=BACKGROUND)
        for spine in axes.spines.values():
            spine.set_visible(False)
        return axes

    def text(self, left: float, top: float, text: str, **style: Any) -> None:
        """Write at a place in inches."""
        x, y, _, _ = self.place(left, top, 0, 0)
        self.figure.text(x, y, text, **{"color": TEXT, "fontsize": self.font_size, "va": "center", **style})

    def caption(self, row: int, column: int, text: str, colour: str = TEXT) -> None:
        """Write below a panel."""
        left, top = self.corner(row, column)
        below = top + self.rows[row].height + self.font_size / 72 * 0.5
        self.text(left + _COLUMN / 2, below, text, color=colour, ha="center", va="top", linespacing=1.35)

    def label(self, panel: Axes, row: int, plane: Plane) -> None:
        """Name the plane, and the patient's sides where they are known: in the panel, or below it if it is thin."""
        if self.rows[row].below > _GAP:
            left, top = self.corner(row, 0)
            sides = f": {plane.left} at the left, {plane.top} at the top" if plane.left else ""
            middle = top + self.rows[row].height + self.font_size / 72 * _LINE / 2
            self.text(left, middle, plane.name + sides, fontsize=self.font_size * 0.85)
            return
        style: dict[str, Any] = {
            "color": TEXT,
            "fontsize": self.font_size * 0.85,
            "transform": panel.transAxes,
            "path_effects": [withStroke(linewidth=2, foreground="black")],
        }
        if plane.name:
            panel.text(0.02, 0.02, plane.name, ha="left", va="bottom", **style)
        if plane.left:
            panel.text(0.02, 0.5, plane.left, ha="left", va="center", **style)
            panel.text(0.5, 0.98, plane.top, ha="center", va="top", **style)

    def colour_bar(self, row: int, limit: float) -> None:
        """Draw the scale of the error maps where HR, which has no error, would stand."""
        left, top = self.corner(row, 0)
        height = self.rows[row].height
        axes = self.figure.add_axes(self.place(left + _COLUMN * 0.62, top + height * 0.08, 0.16, height * 0.84))
        axes.imshow(
            np.linspace(0, 1, 256)[:, None], cmap="inferno", aspect="auto", origin="lower", extent=(0, 1, 0, limit)
        )
        axes.set(xticks=[])
        axes.yaxis.tick_right()
        axes.tick_params(colors=TEXT, labelsize=self.font_size * 0.9)
        for spine in axes.spines.values():
            spine.set(color=QUIET, linewidth=0.6)
        self.text(
            left + _COLUMN * 0.04, top + height * 0.5, "Absolute error\n|method - HR|\nof data range 1", linespacing=1.6
        )


def _outline(panel: Axes, corner: tuple[int, int], side: int, view: tuple[slice, slice]) -> None:
    """Draw the zoomed box on a panel that shows `view` of the plane."""
    origin = (corner[1] - view[1].start - 0.5, corner[0] - view[0].start - 0.5)
    panel.add_patch(Rectangle(origin, side, side, fill=False, edgecolor=ACCENT, linewidth=1.0))


def _height(image: Image, aspect: float) -> float:
    """Height in inches of a panel that shows an image in a column's width, at most 1.4 times that."""
    return _COLUMN * min(1.4, image.shape[0] * aspect / image.shape[1])


def _array(image: Tensor) -> Image:
    found: Image = image[0, 0].detach().float().cpu().numpy()
    return found
