"""Key metrics of a validation: means over subjects that are the same with one process and with several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import torch
from ignite.engine import Engine
from ignite.exceptions import NotComputableError
from ignite.metrics import Metric
from torch import Tensor

from custom.arrays.slices import volume_to_slices
from custom.handlers.items import EvaluatedItem, evaluated_items, gather_over_ranks
from custom.metrics import psnr, ssim

__all__ = ["SubjectMean", "SubjectPSNR", "SubjectSSIM"]


class SubjectMean(Metric):
    """The mean over subjects of a figure of each scan.

    Several scans of one subject count as one, their mean; the frames of a scan are measured together. A scan that two
    processes saw, because a sampler filled up its last batch, counts once where its file is known, and does not move
    the mean of a subject with one scan.

    Reads the engine's output ("label", "pred") and batch ("subject"), whether MONAI separated them into items or not.

    Args:
        fn: a figure of (pred, target), both (B, frames, *spatial).
        spatial_dims: 2 takes volumes as a batch of slices, 3 as they are.
        slice_axis: the axis of the slices.
    """

    def __init__(self, fn: Callable[[Tensor, Tensor], float], spatial_dims: int = 2, slice_axis: int = -1) -> None:
        self._fn = fn
        self._spatial_dims = spatial_dims
        self._slice_axis = slice_axis
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
            pred, label = item.pred, item.label
            if self._spatial_dims == 2:
                pred, label = volume_to_slices(pred, self._slice_axis), volume_to_slices(label, self._slice_axis)
            self._values.append((item.subject, item.key, self._fn(pred, label)))

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

    def __init__(self, spatial_dims: int = 2, slice_axis: int = -1) -> None:
        super().__init__(psnr, spatial_dims, slice_axis)


class SubjectSSIM(SubjectMean):
    """Mean over subjects of the SSIM of their scans, by slice or in 3D (see `custom.metrics.ssim`)."""

    def __init__(self, spatial_dims: int = 2, slice_axis: int = -1) -> None:
        super().__init__(ssim, spatial_dims, slice_axis)
