"""How much memory a process may still take, and keeping freed memory, which the allocator would return at once."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

__all__ = ["keep_freed_memory", "memory_at_hand", "memory_in_use", "memory_left"]

logger = logging.getLogger(__name__)

# Parameters of mallopt in glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_OWN_CGROUPS = "/proc/self/cgroup"
# Controllers of a control group in this file, of versions 2 and 1, to where it is and how its files are called.
_CGROUPS = {
    "": ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    "memory": (
        "/sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
}
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


def memory_at_hand() -> int:
    """Return how many bytes this process can still take, by the system, its container (cgroup) and its own limit.

    Where the system does not say what is free (macOS), it is all memory that it has; where it says nothing (Windows),
    it is the largest number of Python.
    """
    return max(min(_free_of_system(), _free_of_container(), _free_of_process()), 0)


def memory_in_use() -> int:
    """Return how many bytes of memory this process takes; the most that it ever took where only that is known (macOS).

    Where the system says nothing (Windows), it is 0.
    """
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0 if resource is None else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def memory_left(limit: float | None = None) -> int:
    """Return how many more bytes this process may take.

    Args:
        limit: MB (10^6 bytes) that it may take in all; None for what is at hand.
    """
    return memory_at_hand() if limit is None else max(int(limit * 1e6) - memory_in_use(), 0)


def _free_of_system() -> int:
    available = _numbers_in("/proc/meminfo").get("MemAvailable:")
    if available is not None:
        return 1024 * available
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return sys.maxsize


def _free_of_container() -> int:
    """Return what the control groups of the process, the one that holds it and those above, leave free."""
    free = sys.maxsize
    try:
        groups = [line.split(":", 2)[1:] for line in Path(_OWN_CGROUPS).read_text().splitlines()]
    except OSError:
        return free
    for controllers, place in groups:
        if controllers not in _CGROUPS:
            continue
        folder, limit_file, used_file, unused_pages = _CGROUPS[controllers]
        own = Path(folder, place.lstrip("/"))
        for group in (own, *own.parents[: len(own.parts) - len(Path(folder).parts)]):
            try:
                limit, used = (group / limit_file).read_text().strip(), int((group / used_file).read_text())
            except OSError:
                continue
            if limit.isdecimal():
                # Pages of files that nobody has used for long are given up for the asking.
                free = min(free, int(limit) - used + _numbers_in(group / "memory.stat").get(unused_pages, 0))
    return free


def _free_of_process() -> int:
    """Return what the limit of the process's address space (`ulimit -v`) leaves free."""
    if resource is None or resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return sys.maxsize
    used = _numbers_in("/proc/self/status").get("VmSize:", 0)
    return resource.getrlimit(resource.RLIMIT_AS)[0] - 1024 * used


def _numbers_in(file: str | Path) -> dict[str, int]:
    """Read lines of a name and a whole number; a file that is not there has none."""
    try:
        lines = [line.split() for line in Path(file).read_text().splitlines()]
    except OSError:
        return {}
    return {line[0]: int(line[1]) for line in lines if len(line) > 1 and line[1].isdecimal()}
