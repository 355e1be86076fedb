from __future__ import annotations

import ctypes
import sys
from pathlib import Path
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


def test_the_memory_at_hand_is_the_least_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, free in (("_free_of_system", 70), ("_free_of_container", 50), ("_free_of_process", 60)):
        monkeypatch.setattr(memory, name, lambda free=free: free)
    assert memory.memory_at_hand() == 50
    monkeypatch.setattr(memory, "_free_of_process", lambda: -5)
    assert memory.memory_at_hand() == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no /proc")
def test_a_limit_of_the_process_counts(forked_python: ForkedPython) -> None:
    program = """
import resource
from custom.memory import memory_at_hand
resource.setrlimit(resource.RLIMIT_AS, (2**34, 2**34))
before = memory_at_hand()
held = bytearray(2**28)
print(before < 2**34, abs(before - memory_at_hand() - 2**28) < 2**24)
"""
    ended = forked_python.run("-c", program)
    assert ended.stdout.split() == ["True", "True"], ended.stderr


@pytest.mark.parametrize("version", [1, 2])
def test_a_limit_of_the_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    """Of the group of the process or one above; what of its files' pages is not in use can be taken."""
    limit, used, unused = (
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        if version == 1
        else ("memory.max", "memory.current", "inactive_file")
    )
    own = tmp_path / "root" / "outer" / "inner"
    own.mkdir(parents=True)
    for folder, most, taken in ((own, "max", 300), (own.parent, "1000", 400)):
        (folder / limit).write_text(f"{most}\n")
        (folder / used).write_text(f"{taken}\n")
        (folder / "memory.stat").write_text(f"anon 5\n{unused} 100\n")
    groups = tmp_path / "cgroup"
    controller = {1: "memory", 2: ""}[version]
    groups.write_text(f"9:name=systemd:/\n4:{controller}:/outer/inner\n")
    monkeypatch.setattr(memory, "_OWN_CGROUPS", str(groups))
    monkeypatch.setitem(memory._CGROUPS, controller, (str(tmp_path / "root"), *memory._CGROUPS[controller][1:]))
    assert memory._free_of_container() == 1000 - 400 + 100
    groups.unlink()
    assert memory._free_of_container() == sys.maxsize
