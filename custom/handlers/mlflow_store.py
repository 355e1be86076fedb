"""The MLflow store of a run: found and tried before any training, quiet, and never waited for."""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from mlflow.entities import RunStatus
from mlflow.store.tracking.dbmodels.models import Base
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from monai.handlers import MLFlowHandler

from custom.errors import InputError

__all__ = ["MLflowStore", "short_quiet_requests"]

logger = logging.getLogger(__name__)

# The client's own defaults wait four minutes for a server that is not there.
_SHORT_REQUESTS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
_TALKATIVE = ("mlflow.store.db.utils", "mlflow.tracking", "alembic")
_SQLITE = "sqlite:///"
_LOCK_TIMEOUT_S = 5.0
_KIND = "mlflow.experimentKind"


@contextmanager
def short_quiet_requests() -> Iterator[None]:
    """Let MLflow give up soon on a server that does not answer, and log nothing, within the block."""
    loggers = [(logger, logger.level) for logger in map(logging.getLogger, _TALKATIVE)]
    changed = [name for name in _SHORT_REQUESTS if name not in os.environ]
    os.environ.update({name: _SHORT_REQUESTS[name] for name in changed})
    for logger, _ in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name in changed:
            os.environ.pop(name, None)
        for logger, level in loggers:
            logger.setLevel(level)


class MLflowStore(MLFlowHandler):
    """An experiment in a tracking store, by MONAI's handler: which address, where artifacts go, which experiment.

    Args:
        tracking_uri: address of the store; the environment variable `MLFLOW_TRACKING_URI` wins.
        experiment_name: name of the experiment, made if it is not there.

    Raises:
        InputError: if the store cannot be reached or written.
    """

    def __init__(self, tracking_uri: str, experiment_name: str) -> None:
        # MLflow reports usage to its makers, by default and over the network. Scans are nobody else's business.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        self._uri = os.environ.get("MLFLOW_TRACKING_URI") or tracking_uri
        self._source = "tracking_uri" if self._uri == tracking_uri else "the environment variable MLFLOW_TRACKING_URI"
        self.address = re.sub(r"//[^/@]*@", "//", self._uri)  # without a password
        with self._explaining(), short_quiet_requests():
            if self._uri.startswith(_SQLITE):
                _prepare_database(Path(self._uri.removeprefix(_SQLITE)))
            super().__init__(tracking_uri, iteration_log=False, epoch_log=False, experiment_name=experiment_name)
            self._set_experiment()

    def begin(self, run_name: str, tags: Mapping[str, str]) -> None:
        """Start a new run, whatever runs the experiment has, after ending those whose process has died.

        Raises:
            InputError: if the store cannot be written.
        """
        own = {"process": f"{socket.gethostname()}/{os.getpid()}"}
        experiment = self.experiment.experiment_id
        with self._explaining(), short_quiet_requests():
            if _KIND not in self.experiment.tags:
                # MLflow's pages otherwise take the experiment for one of language models.
                self.client.set_experiment_tag(experiment, _KIND, "custom_model_development")
            self._end_orphans()
            self.cur_run = self.client.create_run(experiment, run_name=run_name, tags={**tags, **own})

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except Exception as err:  # MLflow, SQLAlchemy, requests and the system each raise their own
            reason = str(err).replace(self._uri, self.address).strip().split("\n")[0]
            raise InputError(
                f"{self.address}: this MLflow store, given by {self._source}, cannot be used: {reason}. Start its "
                f"server, or name another store, for example --tracking_uri {_SQLITE}<folder>/mlruns.db"
            ) from err

    def end(self, status: str) -> None:
        """End the run as "FINISHED", "FAILED" or "KILLED", and let the database go."""
        self.run_finish_status = status
        self.close()

    def _end_orphans(self) -> None:
        """End the runs of this machine that say RUNNING while nothing runs: power cuts and kills leave them behind."""
        running = self.client.search_runs([self.experiment.experiment_id], "attributes.status = 'RUNNING'")
        for run in running:
            host, _, process = run.data.tags.get("process", "").rpartition("/")
            if host == socket.gethostname() and process.isdigit() and not _is_alive(int(process)):
                self.client.set_terminated(run.info.run_id, RunStatus.to_string(RunStatus.KILLED))


def _prepare_database(path: Path) -> None:
    """Make the SQLite file if need be, and raise if it cannot be written; MLflow would try for 100 seconds.

    MLflow makes its tables in many steps, and often cannot go on with a file in which only some of them were made. So a
    new file gets its name when it is whole, and one that was left half-made is made anew.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _make_database(path)
    with closing(sqlite3.connect(path, timeout=_LOCK_TIMEOUT_S)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        empty = _holds_nothing(connection)
        connection.rollback()
    if not empty:
        return
    try:
        with _aside(path) as copy:
            shutil.copy(path, copy)
            _open_database(copy)
    except Exception as err:  # which one depends on the table that is missing
        logger.warning("%s: a half-made MLflow database without any run, made anew (%s)", path, type(err).__name__)
        path.unlink()
        _make_database(path)


def _make_database(path: Path) -> None:
    with _aside(path) as temporary:
        _open_database(temporary)
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass  # another process was faster, and may have begun a run there
        except OSError:  # a file system without hard links
            temporary.replace(path)


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """Give the name of a database beside another. Remove it afterwards, and before what killed processes left."""
    ours = f".{path.name}.{socket.gethostname()}."
    for file in list(path.parent.iterdir()):
        process = file.name.removeprefix(ours).partition(".")[0]
        if file.name.startswith(ours) and process.isdigit() and not _is_alive(int(process)):
            file.unlink(missing_ok=True)
    # No name is used twice, since MLflow keeps what it has opened.
    temporary = path.with_name(f"{ours}{os.getpid()}.{secrets.token_hex(4)}.db")
    try:
        yield temporary
    finally:
        for file in (temporary, Path(f"{temporary}-journal")):
            file.unlink(missing_ok=True)


def _open_database(path: Path) -> None:
    """Let MLflow make the tables that are missing, and check all."""
    SqlAlchemyStore(f"{_SQLITE}{path}", str(path.parent / "mlruns")).engine.dispose()
    with closing(sqlite3.connect(path)) as connection:
        missing = Base.metadata.tables.keys() - _tables(connection)
    if missing:
        raise ValueError(f"no tables {sorted(missing)}")  # MLflow itself notices only some of them


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _holds_nothing(connection: sqlite3.Connection) -> bool:
    """Find out whether there is nothing but what MLflow writes into each new database."""
    others = _tables(connection) - {"alembic_version", "experiments", "workspaces"}
    return not any(connection.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone() for name in others)


def _is_alive(process: int) -> bool:
    if os.name != "posix":
        return True  # signal 0 is no question on Windows
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
