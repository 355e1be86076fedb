"""What only a cine shows: flicker over its frames, and the blood pool over the cycle, by method."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from ignite.engine import Engine, Events
from torch import Tensor

from custom.arrays.slices import volume_to_slices
from custom.evaluation.cine_summary import TRUTH, cine_markdown, cine_rows, summarise_cine, write_cine
from custom.evaluation.summary import Row
from custom.handlers.comparison import compared_items
from custom.handlers.hooks import is_first_rank
from custom.handlers.items import EvaluatedItem, gather_over_ranks
from custom.metrics import find_blood_pool, flicker

__all__ = ["CineTable"]

_logger = logging.getLogger(__name__)

# A scan with its frames, and its images (1, frames, *spatial) by method and of the truth.
_Cine = tuple[EvaluatedItem, dict[str, Tensor]]


class CineTable:
    """An Ignite handler that measures flicker and the blood pool of cines and writes what it finds.

    After each iteration of an evaluator every slice of a scan with frames is measured, in the truth and in the result
    of each method of the `ComparisonTable`, which comes before this handler. Pictures of single frames are measured too
    if the manifest says of which slice and phase they are: when the epoch ends those of one slice are put together,
    each in its own intensity scale. They have a flicker if their phases follow each other. Scans without frames are
    passed over.

    The region and the threshold of the pool are found in the truth and are the same for all methods. The relative
    change of its area, 1 - smallest / largest (of a subject: of the sums over the slices), stands in for the ejection
    fraction; `custom.metrics.blood_pool` says how far it can be trusted.

    When the epoch ends rank 0 writes `cine.csv` (a row a subject, slice and method), `cine.json` and `cine.md`: means
    over subjects with 95 % intervals, and bias and limits of agreement with the truth over slices and over subjects.
    `<method>_flicker` and `<method>_change_bias` are in `engine.state.metrics` of every process.

    Args:
        output_dir: where the files go.
    """

    def __init__(self, output_dir: str | Path) -> None:
        self.output_dir = Path(output_dir)
        self._rows: list[Row] = []
        self._pictures: list[_Cine] = []

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.measure)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.finish)

    def start(self, engine: Engine) -> None:
        """Forget an earlier run."""
        self._rows, self._pictures = [], []

    @torch.no_grad()
    def measure(self, engine: Engine) -> None:
        """Measure the cines of one iteration."""
        for item, comparison in compared_items(engine):
            images = {**comparison.images, TRUTH: item.label}
            if item.label.shape[1] > 1:
                self._rows += self._measured(item, images, comparison.slice_axis)
            elif item.phase is not None:
                kept = replace(item, image=None, label=item.label.cpu(), pred=item.pred.cpu(), mask=None)
                self._pictures.append((kept, {method: image.cpu() for method, image in images.items()}))

    @torch.no_grad()
    def finish(self, engine: Engine) -> None:
        """Gather the rows of all processes, write the files and publish the means."""
        rows = gather_over_ranks(self._rows)
        for (item, images), is_even in _stacked(gather_over_ranks(self._pictures)):
            rows += [row if is_even else {**row, "flicker": math.nan} for row in self._measured(item, images)]
        rows = cine_rows(rows)
        if not rows:
            _logger.info("no scan has frames, so there is no cine.csv")
            return
        summary = summarise_cine(rows)
        means = {f"{method}_flicker": found["flicker"]["mean"] for method, found in summary["methods"].items()}
        against = summary["agreement_with_truth"]
        means |= {f"{method}_change_bias": found["change"]["bias"] for method, found in against.items()}
        engine.state.metrics.update({name: value for name, value in means.items() if not math.isnan(value)})
        if is_first_rank():
            write_cine(rows, summary, self.output_dir)
            _logger.info("%s\n%s", self.output_dir / "cine.md", cine_markdown(summary))

    def _measured(self, item: EvaluatedItem, images: Mapping[str, Tensor], slice_axis: int = -1) -> list[Row]:
        by_slice = {method: volume_to_slices(image, slice_axis) for method, image in images.items()}
        area, unit = _pixel(item, slice_axis)
        rows = []
        for k, truth in enumerate(by_slice[TRUTH]):
            pool = find_blood_pool(truth)
            for method, slices in by_slice.items():
                rows.append(
                    {
                        "subject": item.subject,
                        "slice": k if item.slice_number is None else item.slice_number,
                        "method": method,
                        "key": item.key,
                        "frames": len(truth),
                        "areas": [] if pool is None else [area * count for count in pool.areas(slices[k])],
                        "unit": unit,
                        "flicker": flicker(slices[k : k + 1], truth[None]),
                    }
                )
        return rows


def _stacked(pictures: Iterable[_Cine]) -> list[tuple[_Cine, bool]]:
    """Make one cine of the pictures of a slice, in the order of their phases; say whether these follow each other."""
    groups: dict[tuple[str, int | None, torch.Size], dict[int, _Cine]] = defaultdict(dict)
    for item, images in pictures:
        groups[item.subject, item.slice_number, item.label.shape][item.phase or 0] = (item, images)
    found = []
    for frames in groups.values():
        phases = sorted(frames)
        item, methods = frames[phases[0]]
        together = {method: torch.cat([frames[phase][1][method] for phase in phases], dim=1) for method in methods}
        found.append(((item, together), phases == list(range(phases[0], phases[-1] + 1))))
    return found


def _pixel(item: EvaluatedItem, slice_axis: int) -> tuple[float, str]:
    """Return the area of a pixel of the slices, and its unit."""
    if item.affine is None:
        return 1.0, "pixels"
    sides = np.linalg.norm(item.affine[:3, :3], axis=0)
    across = range(3)[slice_axis] if item.label.ndim == 5 else 2
    return float(np.prod(np.delete(sides, across))), "mm2"
