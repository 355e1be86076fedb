"""Keeping freed memory in the process, which the system's allocator would return at once."""

from __future__ import annotations

import ctypes
import logging
import sys

__all__ = ["keep_freed_memory"]

logger = logging.getLogger(__name__)

# Parameters of mallopt in glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# Bytes. Older versions of glibc accept at most the second (HEAP_MAX_SIZE / 2 on 64 bits).
_THRESHOLD, _OLD_THRESHOLD = 2**28, 2**25


def keep_freed_memory() -> bool:
    """Let glibc reuse freed memory for buffers of up to 256 MiB.

    A network makes and frees the same large buffers for each slice or tile. By default glibc asks the system for many
    of them and returns them each time, and the system has to fill their pages with zeros again. Larger buffers, such as
    whole results, are still returned. The process keeps at most 256 MiB at the end of its heap, and the gaps below.

    Returns:
        Whether it was done. Without Linux and glibc nothing is done.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        library = ctypes.CDLL(None)
        mallopt = library.mallopt
        _ = library.gnu_get_libc_version  # musl has a mallopt too, but it does nothing
    except (OSError, AttributeError):
        return False
    done = mallopt(_M_MMAP_THRESHOLD, _THRESHOLD) or mallopt(_M_MMAP_THRESHOLD, _OLD_THRESHOLD)
    return bool(done and mallopt(_M_TRIM_THRESHOLD, _THRESHOLD))
