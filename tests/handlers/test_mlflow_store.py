"""A store that cannot be used is found before any training."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from custom.errors import InputError
from custom.handlers.mlflow_run import MLflowMetrics, MLflowRun


def refused_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("kind", ["no database", "locked", "folder is a file", "no server", "file store", "unknown"])
def test_a_store_that_cannot_be_used_is_an_error_before_the_training(
    make_trainer: Callable[..., Any], output_dir: Path, capfd: pytest.CaptureFixture[str], kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("custom.handlers.mlflow_store._LOCK_TIMEOUT_S", 0.1)
    database = output_dir / "mlruns.db"
    uri = f"sqlite:///{database}"
    holder = sqlite3.connect(database)
    if kind == "no database":
        database.write_text("this is a text and no database" * 100)
    elif kind == "locked":
        holder.execute("BEGIN EXCLUSIVE")
    elif kind == "folder is a file":
        uri = f"sqlite:///{database}/deeper/mlruns.db"
    elif kind == "no server":
        uri = f"http://user:secret@127.0.0.1:{refused_port()}"
    elif kind == "file store":
        uri = f"file://{output_dir}"
    else:
        uri = "gopher://example"
    trainer = make_trainer([MLflowMetrics(MLflowRun(output_dir, uri))])
    capfd.readouterr()
    with closing(holder), pytest.raises(InputError, match=r"cannot be used: .*--tracking_uri") as caught:
        trainer.run()
    assert uri.replace("user:secret@", "") in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert trainer.state.iteration == 0
    assert capfd.readouterr().err == ""


def test_a_wrong_environment_variable_is_named(
    make_trainer: Callable[..., Any], output_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "gopher://example")
    with pytest.raises(InputError, match=r"gopher://example.*environment variable MLFLOW_TRACKING_URI"):
        make_trainer([MLflowMetrics(MLflowRun(output_dir))]).run()
