"""Ways into an engine's run that do not depend on the order in which handlers are attached."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch.distributed as dist
from ignite.engine import Engine, Events

__all__ = ["around_run", "is_first_rank", "on_epoch_end_after_all", "scalars"]


def around_run(engine: Engine, context: Callable[[], AbstractContextManager[None]]) -> None:
    """Enter `context()` before each run of the engine and leave it afterwards, also by an exception.

    What the events cannot do: of the handlers of EXCEPTION_RAISED Ignite reaches only the first, since MONAI's raise
    again, and a handler of COMPLETED does not know whether others have still to write their files. Of several contexts
    the one that is attached last is left last.
    """
    run = engine.run

    @functools.wraps(run)
    def run_within(*args: Any, **kwargs: Any) -> Any:
        with context():
            return run(*args, **kwargs)

    engine.run = run_within


def on_epoch_end_after_all(engine: Engine, handler: Callable[[Engine], None]) -> None:
    """Run `handler` at the end of each epoch after all handlers that were attached before the run, validation too.

    Ignite calls handlers in the order of their attachment, so this one is attached when the run starts.
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
