"""What is refused; tests/bundles/test_evaluating_commands.py tries the command of every bundle."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from custom.errors import UsageError
from custom.handlers.robustness import robustness_report
from custom.run import Run


def test_several_processes_are_refused_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    nothing: Any = None
    with pytest.raises(UsageError, match=r"robustness\.json runs in one process; leave out torchrun"):
        robustness_report(
            tmp_path, tmp_path, nothing, nothing, nothing, nothing, nothing, nothing, nothing,
            run=Run(distributed="true"), tracking=nothing,
        )  # fmt: skip
    assert not list(tmp_path.iterdir())
