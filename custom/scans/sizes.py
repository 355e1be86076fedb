"""What a header claims, held against the memory at hand before anything of that size is read."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from custom.errors import InputError, UsageError
from custom.memory import memory_at_hand

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
        memory_limit: GB that reading may take; None for what is at hand.

    Raises:
        InputError: with what is needed and what there is.
    """
    needed = math.prod(map(int, shape)) * bytes_per_value
    allowed = memory_at_hand() if memory_limit is None else int(memory_limit * 1e9)
    if needed > allowed:
        words = "are free" if memory_limit is None else "are allowed by memory_limit"
        raise InputError(
            f"{path}: the header promises {' x '.join(map(str, shape))} values, which take {needed / 1e9:.3g} GB of "
            f"memory to read, and {allowed / 1e9:.3g} GB {words}; if the file is not damaged, give a part of the scan, "
            "take a machine with more memory, or raise the limit with --memory_limit (GB)"
        )


def checked_limit(memory_limit: float | str | None) -> float | None:
    """Return a limit of memory in GB.

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
        raise UsageError(f"memory_limit {memory_limit!r} is not a number of GB above 0; leave it out for what is free")
    return limit
