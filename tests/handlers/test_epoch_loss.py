"""The figures of an epoch: mean losses, those that have names of their own too, over all processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events

from custom.handlers.epoch_loss import EpochLoss, losses_of
from custom.losses import WeightedSum


@pytest.mark.parametrize("decollate", [True, False])
def test_loss_of_an_epoch_is_the_mean_over_its_iterations(make_trainer: Callable[..., Any], decollate: bool) -> None:
    losses: list[float] = []
    trainer = make_trainer([EpochLoss(), EpochLoss()], max_epochs=2, decollate=decollate)
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: losses.append(float(losses_of(engine)["loss"]))
    )
    trainer.run()
    assert len(losses) == 8
    assert trainer.state.metrics["loss"] == pytest.approx(np.mean(losses[4:]), rel=1e-6)
    assert trainer.state.metrics["seconds"] > 0


def test_parts_of_a_weighted_sum_are_means_of_their_own(
    make_trainer: Callable[..., Any], batches: list[dict[str, torch.Tensor]]
) -> None:
    loss = WeightedSum({"l1": torch.nn.L1Loss(), "mse": torch.nn.MSELoss()}, {"l1": 2.0, "mse": 0.5})
    trainer = make_trainer([EpochLoss()], max_epochs=1, loss_function=loss, learning_rate=0.0)
    trainer.run()
    with torch.no_grad():
        differences = [trainer.network(batch["image"]) - batch["label"] for batch in batches]
    l1 = np.mean([float(difference.abs().mean()) for difference in differences])
    mse = np.mean([float(difference.square().mean()) for difference in differences])
    metrics = trainer.state.metrics
    assert (metrics["loss_l1"], metrics["loss_mse"]) == pytest.approx((l1, mse), rel=1e-5)
    assert metrics["loss"] == pytest.approx(2 * l1 + 0.5 * mse, rel=1e-5)


def test_losses_of_several_networks_come_from_the_output_of_the_engine() -> None:
    def step(engine: Engine, batch: float) -> dict[str, Any]:
        return {"loss": batch, "losses": {"generator": torch.tensor(2 * batch), "discriminator": 3 * batch}}

    engine = Engine(step)
    EpochLoss().attach(engine)
    engine.run([1.0, 2.0])
    names = ("loss", "loss_generator", "loss_discriminator")
    assert [engine.state.metrics[name] for name in names] == pytest.approx([1.5, 3.0, 4.5])


def test_loss_of_an_epoch_is_the_mean_over_all_processes(
    make_trainer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def add_another_process(sums: torch.Tensor) -> None:
        sums += torch.tensor([4.0, 3.0])  # four iterations with losses that sum to 3

    alone = make_trainer([EpochLoss()], max_epochs=1)
    alone.run()
    torch.distributed.init_process_group("gloo", f"file://{tmp_path}/store", world_size=1, rank=0)
    try:
        monkeypatch.setattr(torch.distributed, "all_reduce", add_another_process)
        together = make_trainer([EpochLoss()], max_epochs=1)
        together.run()
    finally:
        torch.distributed.destroy_process_group()
    assert together.state.metrics["loss"] == pytest.approx((4 * alone.state.metrics["loss"] + 3) / 8)


def test_an_output_without_loss_is_an_error() -> None:
    engine = Engine(lambda engine, batch: [{"pred": torch.zeros(1)}])
    engine.logger.disabled = True
    EpochLoss().attach(engine)
    with pytest.raises(KeyError, match=r"no 'loss', only \['pred'\]"):
        engine.run([0])
