from __future__ import annotations

import ctypes
import sys
from types import SimpleNamespace

import pytest
from forked_python import ForkedPython

from custom import memory

# Counts the pages that the system hands out while a buffer of 64 MiB is made and freed ten times. Before that the heap
# grows until it has holes into which an aligned buffer fits.
PROGRAM = """
import resource, sys, torch
torch.zeros(2**24)
if sys.argv[1] == "keep":
    from custom.memory import keep_freed_memory
    assert keep_freed_memory()
for _ in range(40):
    torch.zeros(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.zeros(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _is_glibc() -> bool:
    return sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")


@pytest.mark.slow
@pytest.mark.skipif(not _is_glibc(), reason="the allocator is not glibc's")
def test_a_large_buffer_is_taken_from_what_was_freed_before(forked_python: ForkedPython) -> None:
    ended = [forked_python.run("-c", PROGRAM, how) for how in ("not", "keep")]
    assert [process.returncode for process in ended] == [0, 0], ended[1].stderr
    faults = [int(process.stdout) for process in ended]
    if ctypes.CDLL(None).mallopt(-3, 2**26) == 0:
        pytest.skip("this glibc takes no threshold of 64 MiB")
    assert faults[1] < 0.5 * faults[0]


def test_old_versions_take_a_smaller_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []

    def mallopt(parameter: int, value: int) -> int:
        calls.append((parameter, value))
        return int(value <= 2**25 or parameter == -1)

    library = SimpleNamespace(mallopt=mallopt, gnu_get_libc_version=None)
    monkeypatch.setattr(memory, "sys", SimpleNamespace(platform="linux"))
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: library)
    assert memory.keep_freed_memory()
    assert calls == [(-3, 2**28), (-3, 2**25), (-1, 2**28)]


@pytest.mark.parametrize("platform", ["darwin", "win32", "linux"])
def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr(memory, "sys", SimpleNamespace(platform=platform))
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: SimpleNamespace())  # a library without mallopt
    assert not memory.keep_freed_memory()
