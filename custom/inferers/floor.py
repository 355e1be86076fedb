"""No result far below its input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monai.inferers import Inferer, SimpleInferer
from torch import Tensor

__all__ = ["Floor"]


class Floor(Inferer):
    """Clip what a network gives at the smallest value of its input, less a small part of the input's range.

    Beside an edge a sharpened image undershoots. Magnitudes are not negative, so in air that is always wrong. What is 0
    is not asked: a network that is equivariant to a shift stays so. The small part leaves room for structures that are
    darker than the darkest voxel of the low-resolution image.

    Args:
        margin: how far below the smallest value a result may be, as a part of the largest value less the smallest.
        inferer: how the scan is treated; the bare network by default.
    """

    def __init__(self, margin: float = 0.02, inferer: Inferer | None = None) -> None:
        self.margin = margin
        self.inferer = inferer or SimpleInferer()

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Apply the network to one scan `(B, frames, *spatial)`; returns `(B, frames, *(s * spatial))`."""
        result: Tensor = self.inferer(inputs, network, *args, **kwargs)
        lowest, highest = float(inputs.min()), float(inputs.max())
        limit = lowest - self.margin * (highest - lowest)
        return result.clamp(min=limit) if result.requires_grad else result.clamp_(min=limit)
