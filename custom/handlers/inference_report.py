"""What `--report true` adds to inference: a picture and a line of figures for each scan."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor

from custom.degradations import Degradation
from custom.evaluation.inference_picture import inference_picture
from custom.evaluation.pictures import frame_title, picture_name
from custom.metrics import consistency
from custom.options import switch
from custom.run import Run
from custom.storage import replace_file
from custom.transforms.meta import header_of

__all__ = ["InferenceReport"]


class InferenceReport:
    """Write `inference.json`, a line a scan, and `pictures/<name>.png` to the folder of the results.

    A line holds the paths of scan and result, the seconds of the network, the peak memory of the process so far in
    MiB, precision, device, threads and backend, the data consistency that was applied ("off", "exact" or
    "regularised"), and the consistency that was reached: the root mean squared difference between the result, degraded
    again, and the input, in units of the intensity scale. A picture shows the input, its cubic interpolation and the
    result in the slice in the middle of the foreground, and a zoomed part of each. Of a scan with several frames it
    shows the first and says so in its title.

    Args:
        output_dir: the folder of the results.
        degradation: that the network was made for; a 2D one within `SliceBySlice`.
        run: the run of the command, which says by what the results are computed.
        data_consistency: the mode of `custom.inferers.DataConsistency`.
        enabled: False does nothing, so that a config can switch it.
    """

    def __init__(
        self,
        output_dir: str | Path,
        degradation: Degradation,
        run: Run,
        data_consistency: str = "off",
        enabled: bool | str = True,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.degradation = degradation
        self.run = run
        self.data_consistency = data_consistency
        self.enabled = switch("report", enabled)
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
        figures = {
            "scan": source,
            "result": str(item["pred_path"]),
            "seconds": round(engine.state.seconds, 3),
            "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            **self.run.computation,
            "data_consistency": self.data_consistency,
            "consistency": round(consistency(sr, lr, self.degradation), 6),
        }
        self._lines.append(figures)
        images = {
            "input": self.degradation.upsample(lr, "nearest", size=sr.shape[2:]),
            "cubic": self.degradation.upsample(lr, "cubic", size=sr.shape[2:]),
            "result": sr,
        }
        known = None if header_of(item["pred"]).is_picture else affine
        title = frame_title(Path(source).name, images["result"])
        picture = inference_picture(
            {name: image[:, :1] for name, image in images.items()}, known, self.degradation.slice_axis, title
        )
        name = Path(str(item["pred_path"])).relative_to(self.output_dir).as_posix()
        replace_file(self.output_dir / "pictures" / picture_name(name.replace("/", "_")), picture)

    def _write(self, engine: Engine) -> None:
        replace_file(self.output_dir / "inference.json", json.dumps(self._lines, indent=2) + "\n")
