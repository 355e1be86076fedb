"""What `amp` "auto" means: measured once, agreed on by all processes. Run as a script, this file is one of two."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from custom.inferers import Autocast, autocast_dtype, precision
from custom.inferers.precision import automatic_precision, use_precision
from custom.run_info import versions


@pytest.fixture(autouse=True)
def _nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_chosen", {})


@torch.no_grad()
def test_autocast_runs_in_bfloat16_and_returns_float32() -> None:
    kinds: list[torch.dtype] = []
    layer = nn.Conv2d(1, 1, 3)
    layer.register_forward_hook(lambda module, inputs, output: kinds.append(output.dtype))
    assert Autocast(True)(torch.rand(1, 1, 8, 8), layer).dtype == torch.float32
    Autocast(False)(torch.rand(1, 1, 8, 8), layer)
    assert kinds == [torch.bfloat16, torch.float32]


@pytest.mark.parametrize(("slower", "dtype", "name"), [(2.0, torch.bfloat16, "bfloat16"), (0.5, None, "float32")])
def test_the_faster_one_is_chosen_once(
    monkeypatch: pytest.MonkeyPatch, slower: float, dtype: torch.dtype | None, name: str
) -> None:
    asked = []
    monkeypatch.setattr(precision, "_seconds", lambda bfloat16: asked.append(1) or (1.0 if bfloat16 else slower))
    assert "amp_auto" not in versions()
    assert [autocast_dtype("auto", "cpu") for _ in range(3)] == [dtype] * 3
    assert len(asked) == 2
    assert automatic_precision() == {"cpu": name}
    assert versions()["amp_auto"] == f"{name} on cpu"


@torch.no_grad()
def test_an_earlier_choice_changes_auto_and_nothing_that_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_seconds", lambda bfloat16: 2.0 if bfloat16 else 1.0)
    kinds: list[torch.dtype] = []
    layer = nn.Conv2d(1, 1, 3)
    layer.register_forward_hook(lambda module, inputs, output: kinds.append(output.dtype))
    inferers = [Autocast("auto"), Autocast(False), Autocast("true")]
    use_precision({"cpu": "bfloat16"})
    for inferer in inferers:
        inferer(torch.rand(1, 1, 8, 8), layer)
    assert kinds == [torch.bfloat16, torch.float32, torch.bfloat16]
    with pytest.raises(KeyError, match="float8"):
        use_precision({"cpu": "float8"})


@pytest.mark.slow
@pytest.mark.parametrize("fast_rank", [0, 1])
def test_all_ranks_take_the_choice_of_rank_0(fast_rank: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    ranks = [
        subprocess.Popen(
            [sys.executable, __file__, str(fast_rank)],
            env={**environment, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [rank.communicate(timeout=240)[0].strip() for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert said == ["torch.bfloat16" if fast_rank == 0 else "None"] * 2


def _main(fast_rank: int) -> None:
    dist.init_process_group("gloo")
    seconds = {True: 1.0, False: 2.0 if dist.get_rank() == fast_rank else 0.5}
    precision._seconds = seconds.__getitem__
    print(Autocast("auto").dtype)
    dist.destroy_process_group()


if __name__ == "__main__":
    _main(int(sys.argv[1]))
