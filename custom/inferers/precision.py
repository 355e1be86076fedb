"""Mixed precision on any device, chosen by a measurement."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from time import perf_counter
from typing import Any, Literal

import torch
from monai.inferers import Inferer, SimpleInferer
from torch import Tensor, nn

from custom.errors import UsageError

__all__ = ["Autocast", "autocast_dtype"]

logger = logging.getLogger(__name__)


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
        self.device_type = torch.device(device).type
        self.dtype = autocast_dtype(amp, self.device_type)
        self.inferer = inferer or SimpleInferer()

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Apply the network to `(B, C, *spatial)`."""
        if self.dtype is None:
            return self.inferer(inputs, network, *args, **kwargs)
        with torch.autocast(self.device_type, dtype=self.dtype):
            prediction = self.inferer(inputs, network, *args, **kwargs)
        return prediction.float()


@functools.cache
def autocast_dtype(amp: bool | str, device_type: str) -> torch.dtype | None:
    """Choose the precision of the convolutions: bfloat16, or None for float32.

    Args:
        amp: True, False (or these as texts), or "auto": on CUDA bfloat16 where the device has it; on the CPU what one
            convolution, timed once in a process, says (processors without bfloat16 instructions are many times slower
            with it).
        device_type: "cpu" or "cuda".

    Raises:
        UsageError: for another value of `amp`.
    """
    choice = str(amp).lower()
    if choice in ("true", "false"):
        return torch.bfloat16 if choice == "true" else None
    if choice != "auto":
        raise UsageError(f"amp is {amp!r}; give true, false or auto")
    if device_type == "cuda":
        faster = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        faster = _seconds(True) < 0.8 * _seconds(False)
    logger.info("amp auto: %s on %s", "bfloat16" if faster else "float32", device_type)
    return torch.bfloat16 if faster else None


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
