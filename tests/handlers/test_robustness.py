"""What is refused; tests/bundles/test_evaluating_commands.py tries the command of every bundle."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from custom.errors import UsageError
from custom.handlers.robustness import robustness_report
from custom.run import Run


@pytest.mark.parametrize("how", ["by the overlay", "by torchrun alone"])
def test_several_processes_are_refused_before_anything_is_read(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    if how == "by torchrun alone":
        monkeypatch.setenv("WORLD_SIZE", "2")
    run = Run(distributed=how == "by the overlay")
    nothing: Any = None
    with pytest.raises(UsageError, match=r"robustness\.json runs in one process; leave out torchrun"):
        robustness_report(
            tmp_path, tmp_path, nothing, nothing, nothing, nothing, nothing, nothing, nothing, run=run, tracking=nothing
        )
    assert not list(tmp_path.iterdir())
