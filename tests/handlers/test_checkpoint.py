"""The state of a training in files: several networks by name, resumed bit for bit, the best one kept."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events, State
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from custom.errors import InputError, MissingFileError, UsageError
from custom.handlers.checkpoint import TrainingCheckpoint
from custom.weights import load_weights, read_checkpoint, save_checkpoint

STEPS = 3
PAIR = ("generator", "discriminator")


class Training:
    """Networks that learn from noise; `scores[i]` is the metric of epoch i + 1, NaN an epoch without validation."""

    def __init__(
        self,
        folder: Path,
        max_epochs: int,
        names: tuple[str, ...] = PAIR,
        scores: list[float] | None = None,
        learning_rate: float = 0.1,
        **options: Any,
    ) -> None:
        torch.manual_seed(5)
        self.networks = {name: nn.Linear(2, 2) for name in names}
        self.optimizers = {name: torch.optim.Adam(self.networks[name].parameters(), learning_rate) for name in names}
        kinds = [
            lambda optimizer: OneCycleLR(optimizer, 2 * learning_rate, total_steps=40),
            lambda optimizer: CosineAnnealingLR(optimizer, T_max=40),
        ]
        self.schedules = {name: kind(self.optimizers[name]) for name, kind in zip(names, kinds, strict=False)}
        self.scores = scores or [float(epoch) for epoch in range(max_epochs)]
        self.evaluator = Engine(lambda engine, batch: None)
        self.evaluator.state = State(best_metric=-1.0, best_metric_epoch=-1, key_metric_name="psnr", epoch=0)
        self.trainer = Engine(self._step)
        self.trainer.logger.disabled = True
        self.trainer.state = State(max_epochs=max_epochs, epoch_length=STEPS, epoch=0, iteration=0)
        self.trainer.add_event_handler(Events.EPOCH_COMPLETED, self._validate)
        options = {"evaluated": names[0], **options}
        handler = TrainingCheckpoint(folder, self.networks, self.optimizers, self.schedules, self.evaluator, **options)
        handler.attach(self.trainer)

    def _step(self, engine: Engine, batch: Any) -> None:
        for name, network in self.networks.items():
            self.optimizers[name].zero_grad()
            (network(torch.rand(4, 2)) - 0.5).square().mean().backward()
            self.optimizers[name].step()
            self.schedules[name].step()

    def _validate(self, engine: Engine) -> None:
        score, state = self.scores[engine.state.epoch - 1], self.evaluator.state
        if math.isnan(score):
            return
        state.epoch = engine.state.epoch
        if state.best_metric_epoch == -1 or score > state.best_metric:
            state.best_metric, state.best_metric_epoch = score, engine.state.epoch

    def run(self) -> Training:
        self.trainer.run(range(STEPS), epoch_length=STEPS)
        return self

    def rates(self) -> list[float]:
        return [optimizer.param_groups[0]["lr"] for optimizer in self.optimizers.values()]


def plain(content: Any) -> Any:
    """Tensors as lists, so that nested states can be compared."""
    if isinstance(content, dict):
        return {key: plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [plain(item) for item in content]
    return content.tolist() if isinstance(content, torch.Tensor) else content


def test_networks_resumed_by_name_end_bit_for_bit_as_uninterrupted(tmp_path: Path) -> None:
    whole = Training(tmp_path / "whole", 5).run()
    Training(tmp_path / "parts", 3).run()
    resumed = Training(tmp_path / "parts", 5, resume=True).run()
    for file in ("last.pt", "model.pt"):
        one, two = (torch.load(tmp_path / run / file, weights_only=True) for run in ("whole", "parts"))
        assert plain(one) == plain(two)
    assert list(one) == ["weight", "bias"]
    assert resumed.rates() == whole.rates()


def test_a_resumed_training_takes_rates_and_schedules_from_its_config(tmp_path: Path) -> None:
    Training(tmp_path, 2).run()
    resumed = Training(tmp_path, 3, resume=True, learning_rate=0.01).run()
    assert resumed.rates() == Training(tmp_path / "other", 3, learning_rate=0.01).run().rates()


def test_model_is_the_evaluated_network_of_the_best_epoch(tmp_path: Path) -> None:
    Training(tmp_path / "two", 2).run()
    Training(tmp_path, 4, scores=[1.0, 3.0, 2.0, 2.5]).run()
    best, last = read_checkpoint(tmp_path / "model.pt"), read_checkpoint(tmp_path / "last.pt")
    assert plain(best) == plain(read_checkpoint(tmp_path / "two" / "last.pt")["networks"]["generator"])
    assert (last["best_metric"], last["best_metric_epoch"], last["validations_without_gain"]) == (3.0, 2, 2)
    loaded = load_weights(nn.Linear(2, 2), tmp_path / "last.pt")  # takes the evaluated one of the two
    assert plain(loaded.state_dict()) == plain(last["networks"]["generator"])


def test_only_validations_without_gain_count_for_early_stopping(tmp_path: Path) -> None:
    none = math.nan
    scores = [2.0, none, 1.0, none, none, 1.5, none, none]
    assert Training(tmp_path, 8, scores=scores, patience=2).run().trainer.state.epoch == 6
    assert Training(tmp_path, 8, scores=scores, patience=None).run().trainer.state.epoch == 8
    Training(tmp_path, 4, scores=scores, patience=2).run()
    assert Training(tmp_path, 8, scores=scores, patience=2, resume=True).run().trainer.state.epoch == 6


def test_a_run_that_was_stopped_after_its_last_checkpoint_is_finished(tmp_path: Path) -> None:
    completed: list[int] = []

    def finish(**options: Any) -> None:
        training = Training(tmp_path, resume=True, **options)
        training.trainer.add_event_handler(Events.EPOCH_STARTED, lambda: completed.append(-1))
        training.trainer.add_event_handler(Events.COMPLETED, lambda: completed.append(training.trainer.state.epoch))
        training.run()

    Training(tmp_path, 3, scores=[3.0, 2.0, 1.0], patience=2).run()
    before = (tmp_path / "last.pt").read_bytes()
    finish(max_epochs=3, patience=None)  # all epochs are done
    finish(max_epochs=5, patience=2)  # early stopping had ended it
    assert completed == [3, 3]
    assert (tmp_path / "last.pt").read_bytes() == before
    with pytest.raises(UsageError, match="3 epochs are done already"):
        finish(max_epochs=2)
    finish(max_epochs=4, patience=3, scores=[0.0, 0.0, 0.0, 4.0])
    assert completed[2:] == [-1, 4]


@pytest.mark.parametrize("content", [None, b"", b"PK damaged"])
def test_a_resumed_training_ends_with_whole_best_weights_or_is_refused(tmp_path: Path, content: bytes | None) -> None:
    def damage_and_resume(max_epochs: int) -> None:
        (tmp_path / "model.pt").unlink(missing_ok=True)
        if content is not None:
            (tmp_path / "model.pt").write_bytes(content)
        Training(tmp_path, max_epochs, scores=[1.0, 3.0, 2.0, 2.5], resume=True).run()

    Training(tmp_path, 2, scores=[1.0, 3.0]).run()
    best = plain(read_checkpoint(tmp_path / "model.pt"))
    damage_and_resume(2)  # nothing is left to train; the second epoch was the best
    assert plain(read_checkpoint(tmp_path / "model.pt")) == best
    damage_and_resume(3)
    assert plain(read_checkpoint(tmp_path / "model.pt")) == best
    for max_epochs in (3, 4):  # last.pt has the weights of the third epoch
        with pytest.raises(
            InputError, match=r"model\.pt: missing, damaged, .* epoch 2, the best, which .*last\.pt of epoch 3 does not"
        ):
            damage_and_resume(max_epochs)


def test_a_file_from_before_networks_had_names_is_resumed(tmp_path: Path) -> None:
    whole = Training(tmp_path / "whole", 4, names=("network",)).run()
    Training(tmp_path / "parts", 2, names=("network",)).run()
    saved = read_checkpoint(tmp_path / "parts" / "last.pt")
    del saved["evaluated"]
    for old, new in (
        ("network", "networks"),
        ("optimizer", "optimizers"),
        ("schedule_position", "schedule_positions"),
    ):
        saved[old] = saved.pop(new)["network"]
    save_checkpoint(saved, tmp_path / "parts" / "last.pt")
    loaded = load_weights(nn.Linear(2, 2), tmp_path / "parts" / "last.pt")
    assert plain(loaded.state_dict()) == plain(saved["network"])
    resumed = Training(tmp_path / "parts", 4, names=("network",), resume=True).run()
    assert plain(resumed.networks["network"].state_dict()) == plain(whole.networks["network"].state_dict())
    assert resumed.rates() == whole.rates()


def test_weights_that_are_not_finite_are_not_written_and_their_network_is_named(tmp_path: Path) -> None:
    training = Training(tmp_path, 3)

    def spoil(engine: Engine) -> None:
        nn.init.constant_(training.networks["discriminator"].bias, math.inf)

    training.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=2 * STEPS), spoil)
    with pytest.raises(InputError, match="weights of the discriminator are not finite after epoch 2"):
        training.run()
    assert read_checkpoint(tmp_path / "last.pt")["epoch"] == 1


def test_a_state_of_other_networks_is_refused(tmp_path: Path) -> None:
    Training(tmp_path, 2, names=("network",)).run()
    with pytest.raises(InputError, match=r"run with the optimizers {'network': 'Adam'}, this one has {'generator'"):
        Training(tmp_path, 3, resume=True).run()
    saved = read_checkpoint(tmp_path / "last.pt")
    groups = 2 * saved["optimizers"]["network"]["param_groups"]
    for change, words in (
        ({"optimizers": {"network": {"state": {}, "param_groups": groups}}}, "parameter groups"),
        ({"optimizer_types": {"network": "SGD"}}, "the optimizers {'network': 'SGD'}, this one has"),
        ({"schedule_positions": {"network": 10**15}}, "1000000000000000 steps of a schedule in 2 epochs"),
        ({"schedule_positions": {"network": "all"}}, "not a checkpoint of this training"),
        ({"random_state": torch.ones(3)}, "not a checkpoint of this training"),
        ({"epoch": 10**400}, "not a checkpoint of this training|done already"),
        ({"networks": 3}, "not a checkpoint of this training"),
    ):
        save_checkpoint(saved | change, tmp_path / "last.pt")
        with pytest.raises(InputError, match=words):
            Training(tmp_path, 3, names=("network",), resume=True).run()


def test_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="evaluated is 'network'; name the network to evaluate: generator, disc"):
        Training(tmp_path, 2, evaluated="network")
    with pytest.raises(UsageError, match="evaluated is None"):
        Training(tmp_path, 2, evaluated=None)
    with pytest.raises(UsageError, match="patience is 0"):
        Training(tmp_path, 2, patience=0)
    with pytest.raises(UsageError, match="max_epochs is 0"):
        Training(tmp_path, 0)
    with pytest.raises(MissingFileError, match="no run to resume"):
        Training(tmp_path, 2, resume=True)
