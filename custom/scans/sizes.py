"""What a header claims, held against the memory at hand before anything of that size is read."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from custom.errors import InputError, UsageError
from custom.memory import memory_left

__all__ = ["LARGEST_DEFLATE_RATIO", "check_memory", "checked_limit"]

#: Deflate, and so gzip and PNG, cannot pack better than 1032:1 (zlib's own documentation).
LARGEST_DEFLATE_RATIO = 1032


def check_memory(
    path: str | os.PathLike[str], shape: Sequence[int], bytes_per_value: int, memory_limit: float | None = None
) -> None:
    """Refuse a scan that does not fit into memory.

    Args:
        path: the file, for the message.
        shape: sizes of the axes, as the header gives them.
        bytes_per_value: that reading takes at its height, all copies counted.
        memory_limit: MB that this process may take in all; None for what is at hand.

    Raises:
        InputError: with what is needed and what there is.
    """
    needed = math.prod(map(int, shape)) * bytes_per_value
    left = memory_left(memory_limit)
    if needed > left:
        words = "are free" if memory_limit is None else f"are left of the memory_limit of {memory_limit:g} MB"
        raise InputError(
            f"{path}: the header promises {' x '.join(map(str, shape))} values, which take {_mb(needed)} MB of "
            f"memory to read, and {_mb(left)} MB {words}; if the file is not damaged, give a part of the scan, "
            "take a machine with more memory, or give another --memory_limit (MB)"
        )


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f}" if size > 1e7 else f"{size / 1e6:.3g}"


def checked_limit(memory_limit: float | str | None) -> float | None:
    """Return a limit of memory in MB.

    Raises:
        UsageError: for anything but a number above 0, or None.
    """
    if memory_limit is None:
        return None
    try:
        limit = math.nan if isinstance(memory_limit, bool) else float(memory_limit)
    except (TypeError, ValueError):
        limit = math.nan
    if not limit > 0:
        raise UsageError(f"memory_limit {memory_limit!r} is not a number of MB above 0; leave it out for what is free")
    return limit
