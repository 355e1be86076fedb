"""Arrays that are larger than the memory: in a file that is mapped into memory, and used window by window."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
import weakref
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from custom.errors import InputError

__all__ = ["mapped_tensor", "release", "windows"]

_WINDOW_BYTES = 2**25
# From the address of the first byte to the mapping.
_mappings: weakref.WeakValueDictionary[int, mmap.mmap] = weakref.WeakValueDictionary()


def mapped_tensor(shape: Sequence[int], dtype: torch.dtype, folder: str | os.PathLike[str] | None = None) -> Tensor:
    """Make a tensor whose values are in a temporary file; they are 0.

    The file has no name (on Windows it is deleted when it is closed), so that it is gone with the tensor, or with the
    process, in whatever way that ends.

    Args:
        shape: of the tensor.
        dtype: of its values.
        folder: where the file is; the system's folder of temporary files by default.

    Raises:
        InputError: if the folder has not enough room, or cannot be written to.
    """
    size = math.prod(shape) * dtype.itemsize
    place = folder or tempfile.gettempdir()
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)  # to write to a hole of a full disk would end the process
            else:
                file.truncate(size)
            mapping = mmap.mmap(file.fileno(), size)
    except OSError as err:
        raise InputError(
            f"{place}: a result of {size / 1e6:.0f} MB does not fit into memory, and there is no file for it "
            f"({err.strerror}); make room on the disk, give another output_dir, or a part of the scan"
        ) from err
    tensor = torch.frombuffer(mapping, dtype=dtype).view(*shape)
    _mappings[tensor.data_ptr()] = mapping
    return tensor


def release(array: Tensor | np.ndarray) -> None:
    """Let the memory go that a mapped array takes while it is used; its values stay in its file.

    Nothing happens for an array in memory.

    Args:
        array: made by `mapped_tensor`, or a view of such an array.
    """
    if not _mappings or not hasattr(mmap, "MADV_DONTNEED"):
        return
    address = array.data_ptr() if isinstance(array, Tensor) else array.__array_interface__["data"][0]
    for start, mapping in list(_mappings.items()):
        if start <= address < start + len(mapping):
            mapping.madvise(mmap.MADV_DONTNEED)


def windows(array: Tensor | np.ndarray, largest: int = _WINDOW_BYTES) -> Iterator[tuple[slice, ...]]:
    """Yield windows that cover an array one after the other, each a range of the axis that is outermost in memory.

    After each window a mapped array lets its memory go (`release`).

    Args:
        array: any shape.
        largest: about how many bytes of memory a window covers.
    """
    if isinstance(array, Tensor):
        steps = [abs(step) * array.element_size() for step in array.stride()]
    else:
        steps = [abs(step) for step in array.strides]
    steps = [step if size > 1 else 0 for step, size in zip(steps, array.shape, strict=True)]
    axis = int(np.argmax(steps)) if steps else 0
    length = array.shape[axis] if steps else 1
    count = max(1, largest // max(1, steps[axis] if steps else 1))
    for first in range(0, length, count):
        yield (*[slice(None)] * axis, slice(first, first + count)) if steps else ()
        release(array)
