"""Draws M-mode pictures while evaluating: one line through the wall of the heart, over time, by each method."""

from __future__ import annotations

from pathlib import Path

import torch
from ignite.engine import Engine, Events

from custom.arrays.slices import volume_to_slices
from custom.evaluation.cine_summary import TRUTH
from custom.evaluation.comparison import Comparison
from custom.evaluation.m_mode import m_mode_picture
from custom.evaluation.pictures import picture_name
from custom.handlers.comparison import compared_items
from custom.handlers.items import EvaluatedItem

__all__ = ["MMode"]

_FEWEST_FRAMES = 3
# Next to cubic they show nothing of their own.
_NOT_DRAWN = ("linear", "spline", "zero_filled")


class MMode:
    """An Ignite handler that draws the M-mode of the first cine of each subject: HR, LR, cubic and the networks.

    After each iteration of an evaluator a line is laid through the blood pool of the middle slice of a scan with at
    least three frames, found from the truth; the images are those of the `ComparisonTable`, which comes before this
    handler. The picture is `pictures/<subject>_m_mode.png`. Each process draws what it has evaluated.

    Args:
        output_dir: where the pictures go.
    """

    def __init__(self, output_dir: str | Path) -> None:
        self.output_dir = Path(output_dir)
        self._drawn: set[str] = set()

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.draw)

    def start(self, engine: Engine) -> None:
        """Forget an earlier run."""
        self._drawn = set()

    @torch.no_grad()
    def draw(self, engine: Engine) -> None:
        """Draw the cines of one iteration."""
        for item, comparison in compared_items(engine):
            if item.label.shape[1] >= _FEWEST_FRAMES and item.subject not in self._drawn:
                self._drawn.add(item.subject)
                self._draw(item, comparison)

    def _draw(self, item: EvaluatedItem, comparison: Comparison) -> None:
        images = {TRUTH: item.label, **comparison.images}
        slices = {
            name: volume_to_slices(image, comparison.slice_axis)
            for name, image in images.items()
            if name not in _NOT_DRAWN
        }
        is_volume = item.label.ndim == 5
        count = len(slices[TRUTH])
        # The first axis of a volume runs across the picture, as its columns were stored by the scanner.
        frames = {name: image[count // 2].mT if is_volume else image[0] for name, image in slices.items()}
        name = picture_name(item.subject)
        where = f", slice {count // 2 + 1} of {count}" if is_volume else ""
        m_mode_picture(
            self.output_dir / "pictures" / f"{name.removesuffix('.png')}_m_mode.png",
            frames,
            title=f"{item.subject}{where}",
        )
