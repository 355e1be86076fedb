"""A store that cannot be used is found before any training."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from custom.errors import InputError
from custom.handlers import mlflow_store
from custom.handlers.mlflow_run import MLflowMetrics, MLflowRun
from custom.handlers.mlflow_store import MLflowStore


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


def change(database: Path, statement: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement)


#: What a process that is killed while MLflow makes its tables leaves: MLflow refuses to open it.
HALF_MADE = "UPDATE alembic_version SET version_num = '0584bdc529eb'"


def test_a_database_that_lacks_a_table_is_half_made(
    output_dir: Path, mlflow_database: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow opens it, and fails when it needs the table."""
    monkeypatch.setattr(mlflow_store, "_make_database", lambda path: shutil.copy(mlflow_database, path))
    change(output_dir / "mlruns.db", "DROP TABLE datasets")
    store = MLflowStore(f"sqlite:///{output_dir / 'mlruns.db'}", "experiment")
    store.begin("run", {})
    store.end("FINISHED")
    assert "a half-made MLflow database" in caplog.text


def test_a_half_made_database_without_a_run_is_made_anew(
    output_dir: Path, mlflow_database: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_store, "_make_database", lambda path: shutil.copy(mlflow_database, path))
    database = output_dir / "mlruns.db"
    change(database, HALF_MADE)
    store = MLflowStore(f"sqlite:///{database}", "experiment")
    store.begin("run", {})
    store.end("FINISHED")
    assert "a half-made MLflow database" in caplog.text
    assert [path.name for path in output_dir.iterdir()] == ["mlruns.db"]
    old = database.rename(output_dir / "old.db")
    change(old, HALF_MADE)  # now there is a run in it, so it is not for us to delete
    with pytest.raises(InputError, match="out-of-date database schema"):
        MLflowStore(f"sqlite:///{old}", "experiment")
    assert old.is_file()


def test_a_database_gets_its_name_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = tmp_path / "new" / "mlruns.db"

    def stop(engine: Any) -> None:
        assert [path.suffix for path in database.parent.iterdir()] == [".db"]
        assert not database.exists()
        raise KeyboardInterrupt

    monkeypatch.setattr("mlflow.store.db.utils._upgrade_db", stop)
    with pytest.raises(KeyboardInterrupt):
        MLflowStore(f"sqlite:///{database}", "experiment")
    assert not list(database.parent.iterdir())


def test_what_killed_processes_left_of_a_new_database_is_removed(
    tmp_path: Path, mlflow_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "mlruns.db"
    # No process has a number that high.
    names = [f".mlruns.db.{socket.gethostname()}.{process}.0f.db" for process in (2**30, os.getppid())]
    for name in names:
        (tmp_path / name).touch()
        (tmp_path / f"{name}-journal").touch()
    monkeypatch.setattr(mlflow_store, "_open_database", lambda path: shutil.copy(mlflow_database, path))
    mlflow_store._prepare_database(database)
    assert {path.name for path in tmp_path.iterdir()} == {"mlruns.db", names[1], f"{names[1]}-journal"}


def test_databases_aside_have_names_of_their_own(tmp_path: Path) -> None:
    """MLflow takes a second one of a name for the first, which it has opened."""
    names = set()
    for _ in range(2):
        with mlflow_store._aside(tmp_path / "mlruns.db") as name:
            names.add(name)
    assert len(names) == 2


def test_of_two_processes_that_make_a_database_the_first_one_wins(
    output_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "mlruns.db"

    def make(path: Path) -> None:
        shutil.copy(output_dir / "mlruns.db", path)
        shutil.copy(output_dir / "mlruns.db", database)  # the other process, which begins its run
        change(database, "INSERT INTO experiments (name, lifecycle_stage) VALUES ('of the first', 'active')")

    monkeypatch.setattr(mlflow_store, "_open_database", make)
    store = MLflowStore(f"sqlite:///{database}", "of the first")
    names = [experiment.name for experiment in store.client.search_experiments()]
    store.close()
    assert names.count("of the first") == 1
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".db"] == ["mlruns.db"]
