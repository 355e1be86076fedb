from __future__ import annotations

import errno
import gc
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from custom.arrays.mapped import mapped_tensor, release, windows
from custom.errors import InputError


@given(st.permutations(range(3)), st.tuples(*[st.integers(1, 5)] * 3), st.integers(1, 200), st.booleans())
def test_windows_cover_each_value_once(order: list[int], shape: tuple[int, ...], largest: int, tensor: bool) -> None:
    """In whatever order the axes lie in memory; a window is a range of the axis that is outermost there."""
    array = np.zeros(shape, np.float32).transpose(order)
    view = torch.from_numpy(array) if tensor else array
    for window in windows(view, largest):
        view[window] += 1
        done = array.ravel("K") != 0
        assert not done[np.count_nonzero(done) :].any()  # from the first to the last in memory
    assert (array == 1).all()


def test_a_mapped_tensor_keeps_its_values_and_leaves_no_file(tmp_path: Path) -> None:
    tensor = mapped_tensor((4, 3, 1000), torch.float32, tmp_path)
    assert not list(tmp_path.iterdir())
    assert int(tensor.count_nonzero()) == 0
    tensor.copy_(torch.arange(12_000.0).view(4, 3, 1000))
    for view in (tensor, tensor[2, 1:], tensor.numpy().T):
        release(view)
    assert torch.equal(tensor.flatten(), torch.arange(12_000.0))


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the system does not list what is mapped")
def test_released_memory_is_no_longer_in_use_and_all_ends_with_the_tensor(tmp_path: Path) -> None:
    def in_use() -> int:
        return int(Path("/proc/self/statm").read_text().split()[2]) * os.sysconf("SC_PAGE_SIZE")  # that of files

    tensor = mapped_tensor((2**24,), torch.float32, tmp_path)
    before = in_use()
    tensor.fill_(1.0)
    assert in_use() - before > 0.9 * 2**26
    release(tensor[5:])
    assert in_use() - before < 0.1 * 2**26
    assert str(tmp_path) in Path("/proc/self/maps").read_text()
    del tensor
    gc.collect()
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()


def test_an_array_in_memory_is_left_alone() -> None:
    array = torch.ones(5)
    release(array)
    assert torch.equal(array, torch.ones(5))


def test_a_disk_that_is_full_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(InputError, match=r"0 MB does not fit into memory.*No space left"):
        mapped_tensor((10,), torch.float32, tmp_path)
    with pytest.raises(InputError, match="No such file"):
        mapped_tensor((10,), torch.float32, tmp_path / "nowhere")
