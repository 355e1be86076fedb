"""A network for ordinary scans on scans with several frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monai.inferers import Inferer, SimpleInferer
from torch import Tensor
from tqdm import tqdm

from custom.arrays.mapped import release
from custom.inferers.memory import MemoryLimit

__all__ = ["Frames"]


class Frames(Inferer):
    """Apply a network to each frame (cine phase, echo) of a scan by itself and put the results together again.

    This is the outermost of a chain of inferers: those within see scans of one frame (`custom.arrays` says what the
    axes are). A scan with one frame is passed straight on. The memory in use is the result and what one frame takes.

    Args:
        progress: show a bar over the frames of each scan.
        memory: where the result is kept; by default in the memory that is free, else in a file.
        inferer: how one frame is treated; the bare network by default.
    """

    def __init__(
        self, progress: bool = False, memory: MemoryLimit | None = None, inferer: Inferer | None = None
    ) -> None:
        self.progress = progress
        self.memory = memory or MemoryLimit()
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
                result = self.memory.empty((len(enlarged), len(numbers), *enlarged.shape[2:]), enlarged)
            result[:, number : number + 1] = enlarged
            del enlarged  # before the next frame is made
            release(result)
        assert result is not None
        return result
