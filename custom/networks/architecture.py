"""A text among the weights of a network that says which form of the network they are of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["architecture_of", "store_architecture"]

_NAME = "architecture"
_LONGEST = 10_000


def store_architecture(network: nn.Module, text: str, *, equivariant: bool = False, gated: bool = False) -> None:
    """Store a description of a network as a buffer of bytes, so that it is saved and loaded with the weights.

    Activations and skips have no parameters, so weights of another form can have the same names and shapes. Reading
    weights compares the descriptions.

    Args:
        network: gets the buffer.
        text: the description.
        equivariant: whether the network is so, which is added to the text, as is the next.
        gated: whether it has `ImageGates`.
    """
    added = {"equivariant": equivariant, "gated": gated}
    text = ", ".join([text, *(name for name, is_so in added.items() if is_so)])
    network.register_buffer(_NAME, torch.tensor(list(text.encode()), dtype=torch.uint8))


def architecture_of(state: Mapping[str, Any]) -> str:
    """Read the description from a state dict; "" where there is none."""
    text = state.get(_NAME)
    # A file may hold anything under this name.
    if not isinstance(text, Tensor) or text.layout is not torch.strided or text.is_meta:
        return ""
    if text.dtype != torch.uint8 or text.ndim != 1 or len(text) > _LONGEST:
        return ""
    return bytes(text.tolist()).decode(errors="replace")
