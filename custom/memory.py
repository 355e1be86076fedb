"""Keeping freed memory in the process, where the system's allocator would give it back at once."""

from __future__ import annotations

import ctypes
import logging
import sys

__all__ = ["keep_freed_memory"]

logger = logging.getLogger(__name__)

# Parameters of mallopt in glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# Older versions of glibc take no larger threshold (HEAP_MAX_SIZE / 2 on 64 bits).
_LARGEST_OLD_THRESHOLD = 32 * 2**20


def keep_freed_memory(limit: int = 2**28) -> bool:
    """Let glibc serve buffers of up to `limit` bytes from memory that was freed before.

    A network makes and frees the same large buffers for every slice or tile. By default many of them are fetched from
    the system and given back each time, and the system has to zero their pages anew. Larger buffers, such as whole
    results, still are. The process keeps at most `limit` bytes at the end of its heap, and holes below that.

    Args:
        limit: bytes, below 2 GiB.

    Returns:
        Whether it was done; elsewhere than on Linux with glibc nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        library = ctypes.CDLL(None)
        mallopt = library.mallopt
        _ = library.gnu_get_libc_version  # musl has a mallopt that does nothing
    except (OSError, AttributeError):
        return False
    size = min(limit, 2**31 - 1)
    done = mallopt(_M_MMAP_THRESHOLD, size) or mallopt(_M_MMAP_THRESHOLD, min(size, _LARGEST_OLD_THRESHOLD))
    return bool(done and mallopt(_M_TRIM_THRESHOLD, size))
