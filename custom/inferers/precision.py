"""Mixed precision on any device, chosen by a measurement."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, Literal

import torch
import torch.distributed as dist
from monai.inferers import Inferer, SimpleInferer
from torch import Tensor, nn

from custom.errors import UsageError

__all__ = ["Autocast", "autocast_dtype", "automatic_precision", "use_precision"]

logger = logging.getLogger(__name__)

_NAMES = {None: "float32", torch.bfloat16: "bfloat16"}
# What "auto" means in this process, by the kind of device.
_chosen: dict[str, torch.dtype | None] = {}


class Autocast(Inferer):
    """Run a network under bfloat16 autocast where that helps; the result is float32.

    MONAI's own `amp` is for CUDA alone. bfloat16 has the range of float32, so that training needs no loss scaling.

    Args:
        amp: "auto" (chosen by `autocast_dtype`), True (bfloat16) or False (float32).
        device: where the network runs.
        inferer: what is run under autocast; the bare network by default.
    """

    def __init__(
        self, amp: bool | Literal["auto"] = "auto", device: torch.device | str = "cpu", inferer: Inferer | None = None
    ) -> None:
        self.amp = amp
        self.device_type = torch.device(device).type
        self.inferer = inferer or SimpleInferer()
        # Here all ranks meet, to agree; later each may have another number of scans.
        autocast_dtype(amp, self.device_type)

    @property
    def dtype(self) -> torch.dtype | None:
        """The precision of the convolutions; None is float32. A resumed training may change what "auto" means."""
        return autocast_dtype(self.amp, self.device_type)

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Apply the network to `(B, C, *spatial)`."""
        dtype = self.dtype
        if dtype is None:
            return self.inferer(inputs, network, *args, **kwargs)
        with torch.autocast(self.device_type, dtype=dtype):
            prediction = self.inferer(inputs, network, *args, **kwargs)
        return prediction.float()


def autocast_dtype(amp: bool | str, device_type: str) -> torch.dtype | None:
    """Choose the precision of the convolutions: bfloat16, or None for float32.

    Args:
        amp: True, False (or these as texts), or "auto": on CUDA bfloat16 where the device has it; on the CPU what one
            convolution, timed once in a process, says (processors without bfloat16 instructions are many times slower
            with it). Of several processes all take what rank 0 finds, so "auto" is first asked for by all of them.
        device_type: "cpu" or "cuda".

    Raises:
        UsageError: for another value of `amp`.
    """
    choice = str(amp).lower()
    if choice in ("true", "false"):
        return torch.bfloat16 if choice == "true" else None
    if choice != "auto":
        raise UsageError(f"amp is {amp!r}; give true, false or auto")
    if device_type not in _chosen:
        _chosen[device_type] = torch.bfloat16 if _agreed(_is_faster(device_type)) else None
        logger.info("amp auto: %s on %s", _NAMES[_chosen[device_type]], device_type)
    return _chosen[device_type]


def automatic_precision() -> dict[str, str]:
    """Return what "auto" means in this process, for example {"cpu": "float32"}; empty where nobody has asked."""
    return {device_type: _NAMES[dtype] for device_type, dtype in _chosen.items()}


def use_precision(chosen: Mapping[str, str]) -> None:
    """Let "auto" mean what it meant in an earlier process, so that a resumed training goes on in its precision.

    Args:
        chosen: as `automatic_precision` gave it.

    Raises:
        KeyError: for a precision that is neither float32 nor bfloat16.
    """
    known = {name: dtype for dtype, name in _NAMES.items()}
    for device_type, name in chosen.items():
        if device_type in _chosen and _chosen[device_type] != known[name]:
            logger.info("amp auto: %s on %s, as the run before", name, device_type)
        _chosen[device_type] = known[name]


def _is_faster(device_type: str) -> bool:
    """Find out whether bfloat16 is the faster one here."""
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return _seconds(True) < 0.8 * _seconds(False)


def _agreed(answer: bool) -> bool:
    """Return rank 0's answer on all ranks: replicas of different precision would not train one network."""
    if not (dist.is_available() and dist.is_initialized()):
        return answer
    answers = [answer]
    dist.broadcast_object_list(answers, src=0)
    return answers[0]


def _seconds(bfloat16: bool) -> float:
    """Time one convolution of the size that the networks use: the best of five, after one to warm up."""
    layer = nn.Conv2d(32, 32, 3, padding=1)
    layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)
    image = torch.ones(4, 32, 32, 32).contiguous(memory_format=torch.channels_last)
    seconds = []
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
        for _ in range(6):
            start = perf_counter()
            layer(image)
            seconds.append(perf_counter() - start)
    return min(seconds[1:])
