"""What `--report true` adds to inference: a picture and a line of figures for each scan."""

from __future__ import annotations

import io
import json
import resource
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from matplotlib.figure import Figure
from torch import Tensor

from custom.data.intensity import foreground_mask
from custom.data.slices import slices_to_volume, volume_to_slices
from custom.data.storage import replace_file
from custom.degradations import Degradation
from custom.handlers.pictures import detail_box, frame_title, picture_name
from custom.handlers.planes import plane_of
from custom.metrics import consistency

__all__ = ["InferenceReport"]

_ZOOM_SIDE = 64


class InferenceReport:
    """Write `inference.json`, a line a scan, and `pictures/<name>.png` to the folder of the results.

    A line holds the paths of scan and result, the seconds of the network, the peak memory of the process so far in
    MiB, the backend, and the consistency: the root mean squared difference between the result, degraded again, and
    the input, in units of the intensity scale. A picture shows the input, its cubic interpolation and the result in the
    slice in the middle of the foreground, and a zoomed part of each; of several frames the first, which its title
    says.

    Args:
        output_dir: the folder of the results.
        degradation: that the network was made for.
        slice_axis: along which a 2D network reads a volume.
        backend: what runs the network, in words.
        enabled: False does nothing, so that a config can switch it.
    """

    def __init__(
        self,
        output_dir: str | Path,
        degradation: Degradation,
        slice_axis: int = -1,
        backend: str = "torch",
        enabled: bool = True,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.degradation = degradation
        self.slice_axis = slice_axis
        self.backend = backend
        self.enabled = enabled
        self._lines: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        """Attach to the evaluator of inference."""
        if self.enabled:
            engine.add_event_handler(Events.STARTED, self._lines.clear)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._measure)
            engine.add_event_handler(Events.COMPLETED, self._write)

    @torch.no_grad()
    def _measure(self, engine: Engine) -> None:
        if not engine.state.output:  # a scan that failed
            return
        item, batch = engine.state.output[0], engine.state.batch[0]
        affine = item["pred"].affine.cpu().double().numpy()
        source = str(item["pred"].meta["filename_or_obj"])
        lr, sr = (torch.as_tensor(item[key]).as_subclass(Tensor)[None].float() for key in ("image", "pred"))
        sr = sr / float(batch["image_scale"])
        sliced = lr.ndim - 2 > self.degradation.spatial_dims
        if sliced:
            lr, sr = volume_to_slices(lr, self.slice_axis), volume_to_slices(sr, self.slice_axis)
        figures = {
            "scan": source,
            "result": str(item["pred_path"]),
            "seconds": round(engine.state.seconds, 3),
            "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            "backend": f"{self.backend} {torch.__version__} on {engine.state.device}",
            "consistency": round(consistency(sr, lr, self.degradation), 6),
        }
        self._lines.append(figures)
        images = {
            "input": self.degradation.upsample(lr, "nearest", size=sr.shape[2:]),
            "cubic": self.degradation.upsample(lr, "cubic", size=sr.shape[2:]),
            "result": sr,
        }
        if sliced:
            images = {name: slices_to_volume(image, self.slice_axis) for name, image in images.items()}
        known = None if item["pred"].meta.get("kind") == "image" else affine
        title = frame_title(Path(source).name, images["result"])
        picture = _draw({name: image[:, :1] for name, image in images.items()}, known, self.slice_axis, title)
        name = Path(str(item["pred_path"])).relative_to(self.output_dir).as_posix()
        replace_file(self.output_dir / "pictures" / picture_name(name.replace("/", "_")), picture)

    def _write(self, engine: Engine) -> None:
        replace_file(self.output_dir / "inference.json", json.dumps(self._lines, indent=2) + "\n")


def _draw(images: dict[str, Tensor], affine: Any, slice_axis: int, title: str) -> bytes:
    """Draw the images (1, 1, *spatial) in one plane, with a zoomed part below, as PNG."""
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
