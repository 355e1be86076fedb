"""A bar at a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import io
import logging
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from custom.handlers import progress
from custom.handlers.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_each_epoch_is_one_line_with_its_figures(
    make_trainer: Callable[..., Any], make_validator: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    network = torch.nn.Conv2d(1, 1, 1)
    validator = make_validator(network)
    trainer = make_trainer([Progress(validator, bar=False)], max_epochs=2, validator=validator, network=network)
    with caplog.at_level(logging.INFO, logger=progress.__name__):
        trainer.run()
    lines = [record.getMessage() for record in caplog.records if record.name == progress.__name__]
    assert [re.match(r"epoch \d/2", line).group() for line in lines] == ["epoch 1/2", "epoch 2/2"]  # type: ignore[union-attr]
    # The validator was attached after the handler: the line still holds this epoch's figure.
    last = validator.state.metrics["psnr"]
    assert re.fullmatch(rf"epoch 2/2: loss [\d.e-]+, psnr {last:.4g}, \d+\.\d s", lines[1])


def test_figures_of_an_earlier_validation_are_not_repeated(
    make_trainer: Callable[..., Any], make_validator: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    validator = make_validator(torch.nn.Conv2d(1, 1, 1))
    validator.run(1)
    with caplog.at_level(logging.INFO, logger=progress.__name__):
        make_trainer([Progress(validator, bar=False)], max_epochs=2).run()
    lines = [record.getMessage() for record in caplog.records if record.name == progress.__name__]
    assert ["psnr" in line for line in lines] == [True, False]


def test_at_a_terminal_a_bar_tells_epoch_and_loss_and_nothing_is_logged(
    make_trainer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    trainer = make_trainer([Progress()], max_epochs=2)
    with caplog.at_level(logging.INFO, logger=progress.__name__):
        trainer.run()
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "epoch 1/2: 100%" in shown
    assert "epoch 2/2: 100%" in shown
    assert "4/4" in shown
    assert f"loss {trainer.state.metrics['loss']:.4g}" in shown
    assert not caplog.records


def test_after_an_error_the_next_message_has_a_line_of_its_own(
    make_trainer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    trainer = make_trainer([Progress()], loss_function=lambda pred, label: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trainer.run()
    assert sys.stderr.getvalue().endswith("\n")  # type: ignore[attr-defined]


def test_an_evaluator_has_a_bar_without_epochs(
    make_validator: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    make_validator(torch.nn.Conv2d(1, 1, 1), [Progress(description="evaluating")]).run()
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "evaluating: 100%" in shown
    assert "epoch" not in shown


@pytest.mark.parametrize("bar", [True, False])
def test_other_ranks_are_silent(
    make_trainer: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    bar: bool,
) -> None:
    monkeypatch.setattr(progress, "is_first_rank", lambda: False)
    with caplog.at_level(logging.INFO, logger=progress.__name__):
        make_trainer([Progress(bar=bar)], max_epochs=1).run()
    assert capsys.readouterr().err == ""
    assert not caplog.records
