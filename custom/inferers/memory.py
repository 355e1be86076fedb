"""How much memory inference may take: what a network takes for a piece of an image, and where results are kept."""

from __future__ import annotations

import logging
import math
import os
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from custom.arrays.mapped import mapped_tensor
from custom.memory import memory_left
from custom.scans.sizes import checked_limit

__all__ = ["MemoryLimit", "tensor_memory"]

logger = logging.getLogger(__name__)

# Beside the tensors of a network, convolutions take copies of them in the order that they compute in, and the allocator
# leaves gaps. Measured with ESPCN, SRResNet and EDSR in both memory formats: 1.0 to 2.5 times the tensors.
_MEMORY_TO_TENSORS = 2.5


class MemoryLimit:
    """Say how much memory a network may take for a piece of an image, and keep results where they fit.

    Of the memory that is left, half is for the network and half for the result. A result that is larger goes into a
    temporary file in `folder`, mapped into memory (`mapped_tensor`). On a GPU the result then goes to the processor.

    Args:
        megabytes: MB (10^6 bytes) that this process may take, all in all; also as a text. None for the memory that is
            free. A GPU has its own memory, all of which may be taken.
        folder: for the temporary files; None for that of the system.

    Raises:
        UsageError: for a limit that is not a number above 0.
    """

    def __init__(self, megabytes: float | str | None = None, folder: str | os.PathLike[str] | None = None) -> None:
        self.megabytes = checked_limit(megabytes)
        self.folder = folder

    def for_network(self, device: torch.device) -> int:
        """Return how many bytes a network may take on a device."""
        return self._left(device) // 2

    def empty(self, shape: Sequence[int], like: Tensor, device: torch.device | str | None = None) -> Tensor:
        """Make a tensor for a result, not initialised, in memory or in a file.

        Args:
            shape: of the result.
            like: a piece of it, whose type it gets.
            device: where it shall be if it fits there; that of the piece by default.
        """
        where = torch.device(device or like.device)
        size = math.prod(shape) * like.element_size()
        for place in dict.fromkeys((where, torch.device("cpu"))):
            if size <= self._left(place) // 2:
                result = like.new_empty(tuple(shape), device=place)
                # Memory that is given out but not used does not count in what is left.
                return result if self.megabytes is None else result.zero_()
        logger.info("the result takes %.0f MB, which do not fit into memory; it is kept in a file", size / 1e6)
        return mapped_tensor(shape, like.dtype, self.folder)

    def _left(self, device: torch.device) -> int:
        if device.type == "cuda":
            return torch.cuda.mem_get_info(device)[0]
        return memory_left(self.megabytes)


def tensor_memory(task: Callable[[], Any]) -> int:
    """Return how many bytes a network takes at its height: about 2.5 times what its tensors alone take.

    Args:
        task: applies the network to a small image; its inputs and weights do not count.
    """
    with torch.no_grad(), _Tensors() as tensors:
        task()
    return int(_MEMORY_TO_TENSORS * tensors.most)


class _Tensors(TorchDispatchMode):
    """Add up the memory of the tensors that are made and not yet forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known = WeakIdKeyDictionary()

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, Tensor):  # made before: an input, whose views are no new memory, or weights
                self._known.setdefault(tensor.untyped_storage(), None)
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and tensor.untyped_storage() not in self._known:
                storage = tensor.untyped_storage()  # views share it
                self._known[storage] = None
                self.now += storage.nbytes()
                self.most = max(self.most, self.now)
                weakref.finalize(storage, self._forget, storage.nbytes())
        return result

    def _forget(self, size: int) -> None:
        self.now -= size
