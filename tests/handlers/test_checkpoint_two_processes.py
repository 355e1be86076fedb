"""Run as a script, this file is one of two processes that train together."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from forked_python import ForkedPython
from ignite.engine import Engine, State
from torch import nn

from custom.handlers.checkpoint import TrainingCheckpoint
from custom.run import Run
from custom.weights import read_checkpoint, save_checkpoint


def draws_of_a_training(folder: Path, max_epochs: int, resume: bool = False) -> list[float]:
    """Train for epochs of two steps, and return the random number that each step draws."""
    Run(seed=7, distributed=dist.is_initialized()).start()
    drawn: list[float] = []
    evaluator = Engine(lambda engine, batch: None)
    evaluator.state = State(best_metric=-1.0, best_metric_epoch=-1, epoch=0)
    trainer = Engine(lambda engine, batch: drawn.append(float(torch.rand(()))))
    trainer.state = State(max_epochs=max_epochs, epoch_length=2, epoch=0, iteration=0)
    TrainingCheckpoint(folder, {"network": nn.Linear(1, 1)}, {}, {}, evaluator, resume=resume).attach(trainer)
    trainer.run(range(2))
    return drawn


@pytest.mark.slow
def test_each_process_draws_its_own_numbers_and_goes_on_with_them(
    forked_python: ForkedPython, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["pytest"])  # `Run` reads the command line, and reports errors in its own way
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    alone = draws_of_a_training(tmp_path / "alone", 3)
    ended = forked_python.run_ranks(2, __file__, str(tmp_path))
    assert [process.returncode for process in ended] == [0, 0], ended[0].stderr
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    for rank in ranks:
        assert len(rank["whole"]) == 6
        assert rank["parts"] == rank["whole"]
    assert ranks[0]["whole"] == alone
    assert not set(ranks[0]["whole"]) & set(ranks[1]["whole"])
    # One process goes on as the first of two, and from a file that holds the state of one process alone.
    assert draws_of_a_training(tmp_path / "parts", 4, resume=True) == ranks[0]["next"]
    last = tmp_path / "alone" / "last.pt"
    saved = read_checkpoint(last)
    save_checkpoint({**saved, "random_state": saved["random_state"][0]}, last)
    assert draws_of_a_training(tmp_path / "alone", 4, resume=True) == ranks[0]["next"]


def _main(folder: Path) -> None:
    Run(distributed=True).start()
    rank = dist.get_rank()
    whole = draws_of_a_training(folder / "whole", 4)
    parts = draws_of_a_training(folder / "parts", 1) + draws_of_a_training(folder / "parts", 3, resume=True)
    content = {"whole": whole[:6], "parts": parts, "next": whole[6:]}
    (folder / f"{rank}.json").write_text(json.dumps(content))
    dist.destroy_process_group()


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
