"""A network for ordinary scans on scans with several frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monai.inferers import Inferer, SimpleInferer
from torch import Tensor
from tqdm import tqdm

__all__ = ["Frames"]


class Frames(Inferer):
    """Apply a network to each frame (cine phase, echo) of a scan by itself and put the results together again.

    This is the outermost of a chain of inferers: those within see scans of one frame (`custom.arrays` says what the
    axes are). A scan with one frame is passed straight on. The memory in use is the result and what one frame takes.

    Args:
        progress: show a bar over the frames of each scan.
        inferer: how one frame is treated; the bare network by default.
    """

    def __init__(self, progress: bool = False, inferer: Inferer | None = None) -> None:
        self.progress = progress
        self.inferer = inferer or SimpleInferer()

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Apply the network to `(B, frames, *spatial)`; returns `(B, frames, *(s * spatial))`."""
        if inputs.shape[1] == 1:
            return self.inferer(inputs, network, *args, **kwargs)
        result: Tensor | None = None
        numbers = range(inputs.shape[1])
        for number in tqdm(numbers, desc="frames", leave=False, disable=None if self.progress else True):
            enlarged = self.inferer(inputs[:, number : number + 1], network, *args, **kwargs)
            if result is None:
                result = enlarged.new_empty((len(enlarged), len(numbers), *enlarged.shape[2:]))
            result[:, number : number + 1] = enlarged
        assert result is not None
        return result
