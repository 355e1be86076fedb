"""Mixed precision on any device, chosen by what the processor can do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Literal, cast

import torch
from monai.inferers import Inferer, SimpleInferer
from torch import Tensor

from custom.errors import InputError, UsageError

__all__ = ["Autocast", "Precision"]

logger = logging.getLogger(__name__)

Name = Literal["float32", "bfloat16"]


class Precision:
    """The number format in which the convolutions of a network are computed: float32 or bfloat16.

    bfloat16 has the range of float32, so that training needs no loss scaling, but 8 significant bits instead of 24.
    What "auto" means depends on the device alone, never on how busy it is, and is found out when it is first asked for.

    Args:
        amp: True (bfloat16), False (float32), these as texts, or "auto": bfloat16 where the device has instructions
            for it, else float32. Processors without such instructions are many times slower in bfloat16.
        device: where the network runs.
    """

    def __init__(self, amp: bool | str = "auto", device: torch.device | str = "cpu") -> None:
        self.amp = str(amp).lower()
        self.device = device

    @cached_property
    def name(self) -> Name:
        """The number format.

        Raises:
            UsageError: for another value of `amp`.
        """
        if self.amp not in ("true", "false", "auto"):
            raise UsageError(f"amp is {self.amp!r}; give true, false or auto")
        return "bfloat16" if self.amp == "true" or (self.amp == "auto" and _has_bfloat16(self.device)) else "float32"

    def autocast(self) -> torch.autocast:
        """Return the context in which the network runs."""
        return torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.name == "bfloat16")

    def state_dict(self) -> dict[str, str]:
        """Return the number format by the kind of device, for a checkpoint."""
        return {torch.device(self.device).type: self.name}

    def load_state_dict(self, state: Mapping[str, str]) -> None:
        """Let "auto" mean what it meant in an earlier process, so that a resumed training goes on in its precision.

        Args:
            state: as `state_dict` gave it; without an entry for this kind of device nothing changes.

        Raises:
            InputError: for a format that is neither float32 nor bfloat16.
        """
        name = state.get(torch.device(self.device).type, self.name)
        if name not in ("float32", "bfloat16"):
            raise InputError(f"the precision is {name!r}; known are float32 and bfloat16")
        if self.amp == "auto" and name != self.name:
            logger.info("precision: %s, as in the run before", name)
            self.name = cast(Name, name)


class Autocast(Inferer):
    """Run a network in a precision; the result is float32. MONAI's own `amp` is for CUDA alone.

    Args:
        precision: of the convolutions; float32 by default.
        inferer: what is run; the bare network by default.
    """

    def __init__(self, precision: Precision | None = None, inferer: Inferer | None = None) -> None:
        self.precision = precision or Precision(amp=False)
        self.inferer = inferer or SimpleInferer()

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Apply the network to `(B, C, *spatial)`."""
        with self.precision.autocast():
            return cast(Tensor, self.inferer(inputs, network, *args, **kwargs)).float()


def _has_bfloat16(device: torch.device | str) -> bool:
    """Tell whether a device has instructions for bfloat16."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Every x86 processor that has bfloat16 has it in AVX-512, those with AMX too.
    return kind == "cpu" and torch.cpu._is_avx512_bf16_supported()
