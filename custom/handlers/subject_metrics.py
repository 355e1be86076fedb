"""Key metrics of a validation: means over subjects that are the same with one process and with several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import torch
from ignite.engine import Engine
from ignite.exceptions import NotComputableError
from ignite.metrics import Metric
from torch import Tensor

from custom.degradations import Degradation
from custom.handlers.items import EvaluatedItem, evaluated_items, gather_over_ranks
from custom.metrics import psnr, ssim

__all__ = ["SubjectMean", "SubjectPSNR", "SubjectSSIM"]


class SubjectMean(Metric):
    """The mean over subjects of a figure of each scan.

    A subject with several scans counts with their mean; the frames of a scan are measured together. A sampler that
    shares scans out evenly may give one scan to two processes; it counts once where its file is known.

    Reads "label" and "pred" of the engine's output and "subject" of its batch.

    Args:
        fn: a figure of (pred, target), both (1, frames, *spatial).
    """

    def __init__(self, fn: Callable[[Tensor, Tensor], float]) -> None:
        self._fn = fn
        self._values: list[tuple[str, str | None, float]] = []
        super().__init__()

    def reset(self) -> None:
        """Forget all values; called when an epoch starts."""
        self._values = []

    @torch.no_grad()
    def iteration_completed(self, engine: Engine) -> None:
        """Take the items of a step; unlike other metrics of Ignite this one needs the batch too."""
        self.update(evaluated_items(engine))

    def update(self, output: Iterable[EvaluatedItem]) -> None:
        """Add the figure of each item."""
        for item in output:
            self._values.append((item.subject, item.key, self._fn(item.pred, item.label)))

    def compute(self) -> float:
        """Return the mean over the subjects of all processes.

        Raises:
            NotComputableError: if there was no item.
        """
        subjects: defaultdict[str, list[float]] = defaultdict(list)
        seen = set()
        for subject, key, value in gather_over_ranks(self._values):
            if key is None or (subject, key) not in seen:
                subjects[subject].append(value)
            seen.add((subject, key))
        if not subjects:
            raise NotComputableError(f"{type(self).__name__} has seen no scan; is the validation split empty?")
        means = [sum(values) / len(values) for values in subjects.values()]
        return sum(means) / len(means)


class SubjectPSNR(SubjectMean):
    """Mean over subjects of the PSNR of their scans, in dB (see `custom.metrics.psnr`)."""

    def __init__(self) -> None:
        super().__init__(psnr)


class SubjectSSIM(SubjectMean):
    """Mean over subjects of the SSIM of their scans (see `custom.metrics.ssim`).

    Args:
        degradation: of whole scans. SSIM is by slice where it acts slice by slice (`SliceBySlice`), else in 3D.
    """

    def __init__(self, degradation: Degradation) -> None:
        def figure(pred: Tensor, target: Tensor) -> float:
            return ssim(degradation.independent_images(pred), degradation.independent_images(target))

        super().__init__(figure)
