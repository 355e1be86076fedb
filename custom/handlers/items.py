"""What an evaluator holds after a step, item by item, and what all ranks hold at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from ignite.engine import Engine
from monai.data import MetaTensor
from numpy.typing import NDArray
from torch import Tensor

from custom.errors import UsageError
from custom.transforms.meta import affine_of, header_of, name_of

__all__ = ["EvaluatedItem", "evaluated_items", "gather_over_ranks"]

T = TypeVar("T")


@dataclass(frozen=True)
class EvaluatedItem:
    """One scan after the network: plain tensors (1, frames, *spatial) on the device where the engine left them.

    Attributes:
        subject: whose scan it is.
        key: names the scan itself (its file, where known): several scans may be of one subject, and a sampler that
            fills up the last batch of a rank gives one scan twice. None where nothing is known.
        image: the network's input, low resolution; None if the engine does not keep it.
        label: the target.
        pred: the result, cut to the target's size at the ends of the axes.
        mask: the foreground that came with the data, of the target's size, with its frames or one for all.
        affine: voxel to world (RAS+, mm) of the target, 4 x 4 float64; None for pictures.
        slice_number: of a picture that is one frame of a cine.
        phase: of such a picture; None for all others.
    """

    subject: str
    key: str | None
    image: Tensor | None
    label: Tensor
    pred: Tensor
    mask: Tensor | None = None
    affine: NDArray[np.float64] | None = None
    slice_number: int | None = None
    phase: int | None = None


def evaluated_items(engine: Engine) -> list[EvaluatedItem]:
    """Read output ("image", "label", "pred") and batch ("subject", "mask") of an engine after an iteration.

    Both are lists of dictionaries, one for each scan, as `ScanEvaluator` and MONAI's engines with `decollate` leave
    them. A step that failed, and left no output, has no items.

    Raises:
        UsageError: if a key is missing, or the result is smaller than the target.
    """
    if engine.state.output is None:
        return []
    return [_item(output, batch) for output, batch in zip(engine.state.output, engine.state.batch, strict=True)]


def gather_over_ranks(values: Sequence[T]) -> list[T]:
    """Return the values of all processes, in the order of their ranks; without processes, the values."""
    if not (dist.is_available() and dist.is_initialized()):
        return list(values)
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, list(values))
    return [value for part in parts for value in part]


def _item(output: Mapping[str, Any], batch: Mapping[str, Any]) -> EvaluatedItem:
    for where, data, key in (("output", output, "label"), ("output", output, "pred"), ("batch", batch, "subject")):
        if key not in data:
            raise UsageError(f"the engine's {where} has no '{key}', only {sorted(map(str, data))}; evaluation needs it")
    label, pred = _plain(output["label"]), _plain(output["pred"])
    subject = str(batch["subject"])
    if label.ndim != pred.ndim or any(n < m for n, m in zip(pred.shape, label.shape, strict=True)):
        raise UsageError(
            f"{subject}: the result has shape {tuple(pred.shape[1:])}, smaller than its target "
            f"{tuple(label.shape[1:])}; the scale_factor of the network and of the degradation have to agree"
        )
    # The engine's target is a plain tensor where it was made from the scan of the batch.
    scan = output["label"] if isinstance(output["label"], MetaTensor) else batch.get("label", label)
    name = name_of(scan)
    return EvaluatedItem(
        subject=subject,
        # Slabs of one file are scans of their own.
        key=f"{name}{batch.get('slab', '')}" if name else None,
        image=_plain(output["image"]) if output.get("image") is not None else None,
        label=label,
        pred=pred[tuple(slice(n) for n in label.shape)],
        mask=_plain(batch["mask"]) if batch.get("mask") is not None else None,
        affine=affine_of(scan) if isinstance(scan, MetaTensor) and not header_of(scan).is_picture else None,
        slice_number=int(batch["slice"]) if "slice" in batch else None,
        phase=int(batch["phase"]) if "phase" in batch else None,
    )


def _plain(item: Tensor) -> Tensor:
    """Add a batch axis and leave metadata behind."""
    return torch.as_tensor(item).detach().as_subclass(Tensor)[None]
