"""Folders that a stopped training left behind, or that another one is writing into."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path

import numpy as np
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from attack_families.attack import Attack, WrongError, command, say_into
from custom.errors import InputError
from custom.handlers.mlflow_store import MLflowStore
from custom.storage import lock_folder
from custom.weights import read_checkpoint

__all__ = ["stopped_trainings"]

_SHORT = (
    *("--output_dir", "out", "--max_epochs", "2", "--patches_per_epoch", "8", "--batch_size", "4"),
    *("--patch_size", "[24,24]", "--num_workers", "0"),
)


def stopped_trainings(rng: np.random.Generator) -> Iterator[Attack]:
    """Go on with what is there, begin anew, or say why not."""
    made = _made_once()
    for share in (0.0, *rng.uniform(0, 1, 6)):
        arguments = (made, share, int(rng.integers(2**31)))
        yield Attack(f"a database with {share:.0%} of its tables", _half_made, arguments, "result", seconds=240)
    for name, content in {"an empty file": b"", "no database": b"x" * 5000, "a torn one": b"SQLite format 3\0"}.items():
        yield Attack(f"{name} as a database", _open_store, (content,), seconds=240)
    yield Attack("a lock that nobody holds", _dead_lock, must="result")
    yield Attack("a lock that is held", _held_lock, must="refused")
    for again in ("--overwrite", "--resume"):
        for seconds in rng.uniform(0.5, 8, 3):
            yield Attack(f"killed after {seconds:.1f} s, then {again}", _killed, (float(seconds), again), seconds=480)
    for file in ("last.pt", "curves.csv", "model.pt"):
        for size in (0, int(rng.integers(1, 2000))):
            for again in ("--overwrite", "--resume"):
                yield Attack(f"{file} of {size} bytes, then {again}", _torn, (made, file, size, again), seconds=480)


@cache
def _made_once() -> Path:
    """Make, for the attacks to copy, what takes long: an empty database of MLflow, and the folder of a training."""
    folder = Path(tempfile.mkdtemp(prefix="attacks-"))
    atexit.register(lambda owner: owner == os.getpid() and shutil.rmtree(folder), os.getpid())
    child = _in_a_child(
        lambda: (
            say_into(folder / "log"),
            SqlAlchemyStore(f"sqlite:///{folder / 'mlruns.db'}", str(folder)).engine.dispose(),
            _train(folder),
        )
    )
    os.waitpid(child, 0)
    return folder


def _half_made(folder: Path, made: Path, share: float, number: int) -> None:
    """Open a store whose tables were not all made."""
    path = Path(shutil.copy(made / "mlruns.db", folder))
    with closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        np.random.default_rng(number).shuffle(tables)
        for table in tables[round(share * len(tables)) :]:
            if not table.startswith("sqlite_"):
                connection.execute(f"DROP TABLE {table}")
        connection.commit()
    MLflowStore(f"sqlite:///{path}", "mine").begin("run", {})


def _open_store(folder: Path, content: bytes) -> None:
    (folder / "mlruns.db").write_bytes(content)
    MLflowStore(f"sqlite:///{folder / 'mlruns.db'}", "mine").begin("run", {})


def _in_a_child(steps: Callable[[], object]) -> int:
    """Run steps in a process beside, and return its number."""
    child = os.fork()
    if child == 0:
        try:
            steps()
        finally:
            os._exit(0)
    return child


def _dead_lock(folder: Path) -> None:
    os.waitpid(_in_a_child(lambda: lock_folder(folder)), 0)
    if not (folder / ".lock").exists():
        raise WrongError("no lock was made")
    lock_folder(folder)


def _held_lock(folder: Path) -> None:
    child = _in_a_child(lambda: (lock_folder(folder), (folder / "held").touch(), time.sleep(600)))
    while not (folder / "held").exists():
        time.sleep(0.01)
    try:
        lock_folder(folder)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _train(folder: Path, *words: str) -> None:
    command(folder, *_SHORT, *words, run_id="training")


def _killed(folder: Path, seconds: float, again: str) -> None:
    """Kill a training, then train again."""
    child = _in_a_child(lambda: _train(folder))
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    is_resumable = (folder / "out" / "last.pt").exists()
    try:
        _train(folder, again, "true")
    except InputError as err:
        if again == "--overwrite" or is_resumable:
            raise WrongError(f"cannot be trained again: {err}") from err
        raise
    _check_trained(folder)


def _torn(folder: Path, made: Path, file: str, size: int, again: str) -> None:
    """Cut a file of a training, and train again."""
    # Its database says where the artifacts of its runs are: in the folder that is copied.
    shutil.copytree(made / "out", folder / "out", ignore=shutil.ignore_patterns("mlruns*", ".lock"))
    shutil.copy(made / "mlruns.db", folder / "out")
    _check_trained(folder)
    torn = folder / "out" / file
    torn.write_bytes(torn.read_bytes()[:size])
    try:
        _train(folder, again, "true")
    except InputError as err:
        if again == "--overwrite":
            raise WrongError(f"cannot be trained again: {err}") from err
        for copy in (folder / "out").rglob(file):  # the attack has left it behind; MLflow keeps it with the failed run
            copy.unlink()
        raise
    _check_trained(folder)


def _check_trained(folder: Path) -> None:
    missing = [name for name in ("model.pt", "last.pt", "curves.csv") if not (folder / "out" / name).exists()]
    try:
        for name in {"model.pt", "last.pt"} - set(missing):
            read_checkpoint(folder / "out" / name)
    except InputError as err:
        raise WrongError(f"ended well and left what cannot be read: {err}") from err
    rows = (folder / "out" / "curves.csv").read_text().splitlines() if not missing else []
    if missing or len(rows) != 3:
        raise WrongError(f"no training of two epochs: {missing} missing, {len(rows) - 1} epochs")
