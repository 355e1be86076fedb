"""The state of one run. Run as a script, this file is one of two processes."""

from __future__ import annotations

import os
import random
import sys

import numpy as np
import pytest
import torch
from forked_python import ForkedPython

from custom.errors import UsageError
from custom.run import Run, local_device


@pytest.fixture(autouse=True)
def _no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own command line is none of a bundle, and its errors stay as they are."""
    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


def _draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002


def test_the_seed_is_of_all_random_generators() -> None:
    drawn = []
    for seed in (3, 3, 4):
        Run(seed=seed).start()
        drawn.append(_draw())
    assert drawn[0] == drawn[1]
    assert not set(drawn[0]) & set(drawn[2])


def test_making_a_run_does_nothing() -> None:
    before = torch.get_rng_state()
    Run(seed=5, amp="often", device="gpu", distributed="perhaps")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"amp": "often"}, "amp is 'often'"),
        ({"device": "gpu"}, "device is 'gpu', which cannot be used"),
        ({"distributed": "perhaps"}, "distributed is 'perhaps'"),
        ({"distributed": "true"}, "run under torchrun"),
    ],
)
def test_wrong_use_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch, keys: dict[str, str], said: str) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(UsageError, match=said):
        Run(**keys).start()  # type: ignore[arg-type]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_device_that_is_not_there_is_wrong_use() -> None:
    with pytest.raises(UsageError, match=r"device is 'cuda'.*give cpu"):
        Run(device="cuda").start()
    assert local_device() == torch.device("cpu")


def test_computation_says_what_a_result_depends_on() -> None:
    said = Run(amp="true").computation
    assert said["precision"] == "bfloat16"
    assert str(said["device"]).startswith("cpu (")
    assert said["threads"] == torch.get_num_threads()
    assert said["backend"] == f"torch {torch.__version__}"


def test_outside_of_a_command_there_is_no_config() -> None:
    assert Run().config == {}


@pytest.mark.slow
def test_all_processes_take_the_precision_of_the_first_and_a_seed_of_their_own(forked_python: ForkedPython) -> None:
    ended = forked_python.run_ranks(2, __file__)
    assert [process.stdout.split() for process in ended] == [["bfloat16", "3"], ["bfloat16", "4"]], ended[0].stderr


if __name__ == "__main__":
    run = Run(amp=os.environ["RANK"] == "0", distributed=True, seed=3)
    run.start()
    print(run.precision.name, torch.initial_seed())
    run.finish()
