"""Ways into an engine's run that do not depend on the order in which handlers are attached."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch.distributed as dist
from ignite.engine import Engine, Events

__all__ = ["hold_during_run", "is_first_rank", "on_epoch_end_after_all", "scalars"]


def hold_during_run(engine: Engine, context: Callable[[], AbstractContextManager[None]]) -> None:
    """Enter `context()` before each run of the engine and leave it after the run, also when the run raises.

    Ignite's events cannot do this. Its handlers of EXCEPTION_RAISED are not all called, since the first of MONAI's
    raises again; and a handler of COMPLETED may come before others that still have files to write. Of several contexts
    the last that was given here is entered first and left last.
    """
    run = engine.run

    @functools.wraps(run)
    def run_within(*args: Any, **kwargs: Any) -> Any:
        with context():
            return run(*args, **kwargs)

    engine.run = run_within


def on_epoch_end_after_all(engine: Engine, handler: Callable[[Engine], None]) -> None:
    """Run `handler` at the end of each epoch, after the validation and all handlers that were attached before the run.

    Ignite calls handlers in the order in which they were attached, so this one is attached when the run starts.
    """

    def attach_last(engine: Engine) -> None:
        if not engine.has_event_handler(handler, Events.EPOCH_COMPLETED):
            engine.add_event_handler(Events.EPOCH_COMPLETED, handler)

    engine.add_event_handler(Events.STARTED, attach_last)


def is_first_rank() -> bool:
    """Return whether this process is the one that writes files and speaks: the only one, or rank 0 of several."""
    return not (dist.is_available() and dist.is_initialized()) or dist.get_rank() == 0


def scalars(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Return those of an engine's metrics that are single numbers; those of a nested mapping as "outer/inner"."""
    numbers: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            numbers |= scalars(value, f"{prefix}{name}/")
            continue
        try:
            numbers[f"{prefix}{name}"] = float(value)
        except (TypeError, ValueError, RuntimeError):  # a text, an array, a tensor of several values
            continue
    return numbers
