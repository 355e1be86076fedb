"""The picture of one result of inference: the input, its cubic interpolation and the result in one plane."""

from __future__ import annotations

import io
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from custom.arrays.intensity import foreground_mask
from custom.evaluation.pictures import detail_box
from custom.evaluation.planes import plane_of

__all__ = ["inference_picture"]

_ZOOM_SIDE = 64


def inference_picture(images: dict[str, Tensor], affine: Any, slice_axis: int, title: str) -> bytes:
    """Draw images side by side in one plane, each with a detail below it.

    The plane lies in the middle of the foreground of the result; the detail is where the result has most of it.

    Args:
        images: "input", "cubic" and "result", each (1, 1, *spatial), all of one shape, in the units of the intensity
            scale.
        affine: voxel to world (RAS+, mm), 4 x 4; None shows the array as it is.
        slice_axis: the spatial axis across the plane, if there are three.
        title: printed above.

    Returns:
        The PNG file.
    """
    arrays = {name: image[0, 0].cpu().numpy() for name, image in images.items()}
    inside = foreground_mask(arrays["result"])
    axis = slice_axis % 3 if inside.ndim == 3 else None
    plane = plane_of(inside, affine, axis)
    planes = {name: plane.cut(array) for name, array in arrays.items()}
    side = min(_ZOOM_SIDE, *planes["result"].shape)
    row, column = detail_box(planes["result"], plane.cut(inside), side)
    figure = Figure(figsize=(10.5, 7.2), layout="constrained")
    figure.suptitle(title, fontsize=10)
    bright = float(planes["cubic"].max())
    for position, (name, pixels) in enumerate(planes.items()):
        zoomed = pixels[row : row + side, column : column + side]
        for line, shown in enumerate((pixels, zoomed)):
            panel = figure.add_subplot(2, 3, 1 + position + 3 * line)
            panel.imshow(shown, cmap="gray", vmin=0, vmax=bright, aspect=plane.aspect, interpolation="nearest")
            panel.set_axis_off()
            if line == 0:
                panel.set_title(name, fontsize=10)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=120)
    return stream.getvalue()
