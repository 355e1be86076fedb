"""How far a run is: a bar for a person at a terminal, a line an epoch for a log file."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ignite.engine import Engine, Events
from tqdm import tqdm

from custom.handlers.epoch_loss import EpochLoss
from custom.handlers.hooks import hold_during_run, is_first_rank, on_epoch_end_after_all, scalars

__all__ = ["Progress"]

_logger = logging.getLogger(__name__)

# The bar shows the mean loss so far. Reading it waits for the device, so it is read as often as a person can follow.
_SECONDS_BETWEEN_READINGS = 1.0


class Progress:
    """Show a bar over the iterations of each epoch with the loss, and say the figures of each epoch.

    With a terminal on stderr there is a bar; without one there is one log line an epoch, of level INFO: the loss, the
    validator's figures and the seconds. Only the first process of several speaks, but attach it on all of them.

    Args:
        validator: the engine whose `state.metrics` are told beside the loss.
        description: set for an engine that is no trainer, for example "evaluating": a bar over its iterations alone.
        bar: True or False forces the bar on or off; None asks whether stderr is a terminal.
    """

    def __init__(
        self, validator: Engine | None = None, description: str | None = None, bar: bool | None = None
    ) -> None:
        self.validator = validator
        self.description = description
        self.bar = bar
        self._tqdm: Any = None
        self._last_reading = 0.0

    def attach(self, engine: Engine) -> None:
        """Register with a trainer, or with an evaluator if `description` is given."""
        if self.description is None:
            EpochLoss().attach(engine)
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._step)
        on_epoch_end_after_all(engine, self._finish)
        hold_during_run(engine, self._closing_the_bar)

    @contextmanager
    def _closing_the_bar(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._close()  # after an error, so that its message begins on a line of its own

    def _start(self, engine: Engine) -> None:
        show = sys.stderr.isatty() if self.bar is None else self.bar
        if not show or not is_first_rank():
            return
        title = self.description or f"epoch {engine.state.epoch}/{engine.state.max_epochs}"
        # A bar of a trainer stays as the record of the epoch; that of a validation would repeat itself each epoch.
        self._tqdm = tqdm(
            total=engine.state.epoch_length, desc=title, leave=self.description is None, dynamic_ncols=True
        )
        self._last_reading = time.monotonic()

    def _step(self, engine: Engine) -> None:
        if self._tqdm is None:
            return
        self._tqdm.update()
        if self.description is None and time.monotonic() - self._last_reading > _SECONDS_BETWEEN_READINGS:
            loss = float(engine.state.epoch_losses["loss"]) / engine.state.epoch_loss_count
            self._tqdm.set_postfix_str(f"loss {loss:.4g}", refresh=False)
            self._last_reading = time.monotonic()

    def _finish(self, engine: Engine) -> None:
        figures = ", ".join(self._figures(engine))
        if self._tqdm is not None:
            self._tqdm.set_postfix_str(figures)
            self._close()
        elif self.description is None and is_first_rank():
            _logger.info("epoch %d/%d: %s", engine.state.epoch, engine.state.max_epochs, figures)

    def _close(self) -> None:
        if self._tqdm is not None:
            self._tqdm.close()
            self._tqdm = None

    def _figures(self, engine: Engine) -> list[str]:
        if self.description is not None:
            return []
        metrics = engine.state.metrics
        figures = [f"loss {metrics['loss']:.4g}"]
        # Where validation is not in every epoch, the validator still holds the figures of an earlier one.
        if self.validator is not None and self.validator.state.epoch == engine.state.epoch:
            figures += [f"{name} {value:.4g}" for name, value in scalars(self.validator.state.metrics).items()]
        return [*figures, f"{metrics['seconds']:.1f} s"]
