"""A loss that is no number stops the training before it spoils anything."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events

from custom.errors import InputError
from custom.handlers.nan_guard import NanGuard


class BreakingLoss(torch.nn.Module):
    """A loss of two parts, one of which is `value` in the step `at`."""

    def __init__(self, at: int, value: float = math.nan) -> None:
        super().__init__()
        self.at, self.value, self.calls = at, value, 0
        self.parts: dict[str, torch.Tensor] = {}

    def forward(self, pred: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        pixel = (pred - label).abs().mean()
        factor = self.value if self.calls == self.at else 1.0
        self.parts = {"l1": pixel, "perceptual": pixel * factor}
        return sum(self.parts.values(), start=torch.zeros(()))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("decollate", [True, False])
def test_epoch_iteration_and_part_are_named(make_trainer: Callable[..., Any], value: float, decollate: bool) -> None:
    loss = BreakingLoss(at=7, value=value)
    trainer = make_trainer([NanGuard()], loss_function=loss, decollate=decollate)
    with pytest.raises(
        InputError, match=rf"loss is {value} in epoch 2, iteration 7; .*perceptual = {value}; finite: l1"
    ):
        trainer.run()


def test_weights_are_those_before_the_broken_step(make_trainer: Callable[..., Any]) -> None:
    sound = make_trainer(max_epochs=1, loss_function=BreakingLoss(at=0))
    sound.add_event_handler(Events.ITERATION_COMPLETED(once=2), lambda engine: engine.terminate())
    sound.run()
    loss = BreakingLoss(at=3)
    broken = make_trainer([NanGuard()], max_epochs=1, loss_function=loss)
    with pytest.raises(InputError):
        broken.run()
    for mine, expected in zip(broken.network.parameters(), sound.network.parameters(), strict=True):
        assert torch.equal(mine, expected)


def test_an_input_with_nan_is_named(make_trainer: Callable[..., Any], batches: list[dict[str, torch.Tensor]]) -> None:
    batches[2]["label"][0, 0, 1, 1] = math.nan
    with pytest.raises(InputError, match=r"epoch 1, iteration 3.*NaN or infinity in: label\."):
        make_trainer([NanGuard()], data=batches).run()


def test_a_nan_between_two_checks_is_found_before_the_epoch_ends(make_trainer: Callable[..., Any]) -> None:
    ends: list[int] = []
    # Finite again in the fourth step: the parts of that step show nothing, the running sum does.
    loss = BreakingLoss(at=2)

    def restore(engine: Engine) -> None:  # the step with NaN has spoilt the weights
        for parameter in engine.network.parameters():
            torch.nn.init.constant_(parameter, 0.1)

    guard = NanGuard()
    guard.intervals = {"cpu": 100}
    trainer = make_trainer([guard], loss_function=loss)
    trainer.add_event_handler(Events.ITERATION_STARTED, restore)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: ends.append(engine.state.epoch))
    with pytest.raises(InputError, match="epoch 1, at iteration 4 or shortly before"):
        trainer.run()
    assert ends == []


def test_a_sound_training_is_left_alone(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer([NanGuard()])
    trainer.run()
    assert trainer.state.epoch == 3


def test_an_engine_without_the_events_of_monai_is_guarded_too() -> None:
    engine = Engine(lambda engine, batch: {"loss": batch})
    NanGuard().attach(engine)
    engine.logger.disabled = True
    with pytest.raises(InputError, match="loss is nan in epoch 1, iteration 2"):
        engine.run([1.0, math.nan, 1.0])


def test_a_network_whose_loss_is_not_the_first_is_guarded_and_named() -> None:
    def step(engine: Engine, batch: float) -> dict[str, object]:
        return {"loss": 0.5, "losses": {"generator": 0.5, "discriminator": batch}}

    engine = Engine(step)
    NanGuard().attach(engine)
    engine.logger.disabled = True
    with pytest.raises(InputError, match=r"iteration 2; parts not finite: discriminator = inf; finite: generator"):
        engine.run([1.0, math.inf, 1.0])
