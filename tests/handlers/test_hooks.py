"""Ways into an engine's run that do not depend on the order in which handlers are attached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events

from custom.handlers.hooks import hold_during_run, is_first_rank, on_epoch_end_after_all, scalars


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def engine(said: list[str]) -> Engine:
    return Engine(lambda engine, batch: said.append(f"step {batch}"))


def saying(said: list[str], name: str) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def context() -> Iterator[None]:
        said.append(f"enter {name}")
        try:
            yield
        finally:
            said.append(f"leave {name}")

    return context


def test_contexts_are_around_each_run_and_the_last_one_is_left_last(engine: Engine, said: list[str]) -> None:
    for name in ("first", "last"):
        hold_during_run(engine, saying(said, name))
    engine.add_event_handler(Events.COMPLETED, lambda: said.append("completed"))
    for batch in (1, 2):
        assert engine.run([batch], max_epochs=1) is engine.state
    one_run = ["enter last", "enter first", "step {}", "completed", "leave first", "leave last"]
    assert said == [word.format(batch) for batch in (1, 2) for word in one_run]


def test_contexts_are_left_after_an_error(engine: Engine, said: list[str]) -> None:
    engine.logger.disabled = True
    hold_during_run(engine, saying(said, "it"))
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        engine.run([1], max_epochs=1)
    assert said == ["enter it", "step 1", "leave it"]


def test_the_end_of_an_epoch_comes_after_all_handlers_once_a_run(engine: Engine, said: list[str]) -> None:
    on_epoch_end_after_all(engine, lambda engine: said.append(f"after all of epoch {engine.state.epoch}"))
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: said.append("validation"))
    for _ in range(2):
        engine.run([0], max_epochs=2)
    assert said == 2 * [
        word for epoch in (1, 2) for word in ("step 0", "validation", f"after all of epoch {epoch}")
    ]  # fmt: skip


def test_only_one_process_of_several_is_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_first_rank()
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    for rank, expected in ((0, True), (1, False)):
        monkeypatch.setattr("torch.distributed.get_rank", lambda rank=rank: rank)
        assert is_first_rank() == expected


def test_metrics_that_are_single_numbers_are_kept_by_their_path() -> None:
    metrics = {
        "loss": torch.tensor([0.5]),
        "count": np.int64(3),
        "image": {"psnr": 20.0, "note": "text", "by_slice": torch.zeros(3)},
        "nothing": None,
    }
    assert scalars(metrics, "validation/") == {
        "validation/loss": 0.5,
        "validation/count": 3.0,
        "validation/image/psnr": 20.0,
    }
