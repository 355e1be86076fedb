"""One MLflow run for one run of a bundle: parameters, figures of every epoch, files, and how it ended."""

from __future__ import annotations

import atexit
import json
import logging
import re
import secrets
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from ignite.engine import Engine
from mlflow.entities import Dataset, DatasetInput, Metric, Param
from monai.engines import Trainer

from custom.handlers.epoch_loss import EpochLoss
from custom.handlers.hooks import hold_during_run, is_first_rank, on_epoch_end_after_all, scalars
from custom.handlers.mlflow_store import MLflowStore, short_quiet_requests
from custom.options import switch
from custom.run_info import git_revision, versions
from custom.storage import sha256

__all__ = ["MLflowMetrics", "MLflowRun", "flatten_parameters"]

_logger = logging.getLogger(__name__)

_PARAMETER_LENGTH, _TAG_LENGTH, _BATCH = 6000, 5000, 100  # limits of MLflow


class _Manifest(Protocol):
    name: str
    digest: str


class Terminated(SystemExit):
    """The operating system asked this process to end; its text is the signal's name."""

    def __str__(self) -> str:
        return signal.Signals(int(self.code or 0) - 128).name


class MLflowRun:
    """One MLflow run of this process, used by its engines through `MLflowMetrics`.

    The run begins when the first of these engines runs, under a name that no other run has, and ends with that engine:
    as FINISHED, as FAILED after an exception, as KILLED after Ctrl-C, SIGTERM or SIGHUP. Its files are logged at the
    end, whatever the end is. A store that cannot be used is an error before the engine starts. If it goes away later,
    there is a warning and the training goes on. Of several processes only the first one logs. Making the object opens
    nothing.

    Args:
        output_dir: the folder that the files are relative to.
        tracking_uri: address of the store; default `sqlite:///<output_dir>/mlruns.db`. The environment variable
            `MLFLOW_TRACKING_URI` wins.
        experiment_name: the experiment, made if it is not there.
        run_name: default: date, time and four random hexadecimal digits.
        parameters: what the run is of, for example its configuration; see `flatten_parameters`.
        manifest: the data set; its `name` and `digest` become tags.
        resumed: whether the run continues an earlier one, which becomes a tag.
    """

    def __init__(
        self,
        output_dir: str | Path,
        tracking_uri: str | None = None,
        experiment_name: str = "mri_super_resolution",
        run_name: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        manifest: _Manifest | None = None,
        resumed: bool | str = False,
    ) -> None:
        self.output_dir = Path(output_dir)
        # Not percent-encoded: MLflow and MONAI take the text after the slashes as a path.
        self.tracking_uri = tracking_uri or f"sqlite:///{self.output_dir.resolve().as_posix()}/mlruns.db"
        self.experiment_name = experiment_name
        self.run_name = run_name
        self.parameters = flatten_parameters({**(parameters or {}), "version": versions()})
        self.tags = {"resumed": str(switch("resume", resumed)).lower()}
        self.manifest = manifest
        if manifest is not None:
            self.tags |= {"manifest": manifest.name, "manifest_digest": manifest.digest}
        self._artifacts: list[str | Path] = []
        self._weights: list[str | Path] = []
        self._store: MLflowStore | None = None
        self._waiting: list[Metric] = []

    @property
    def run_id(self) -> str | None:
        """MLflow's id of the run while it is open; None before, after, and on all ranks but the first."""
        return self._store.cur_run.info.run_id if self._store is not None else None

    @contextmanager
    def active(self) -> Iterator[None]:
        """Hold the run open; inside of another `active()` of the same object nothing is opened again.

        Raises:
            InputError: if the store cannot be reached or written.
        """
        if self._store is not None or not is_first_rank():
            yield
            return
        with _signals_as_exceptions():
            self._open()
            try:
                self._log_origin()
                yield
            except BaseException as err:
                self._close("KILLED" if isinstance(err, KeyboardInterrupt | Terminated) else "FAILED", err)
                raise
            else:
                self._close("FINISHED")

    def log_at_end(self, artifacts: Sequence[str | Path], weights: Sequence[str | Path] = ()) -> None:
        """Log files when the run ends.

        Args:
            artifacts: files, folders and glob patterns; those that exist then are logged.
            weights: files of weights, logged likewise; each gets a tag with its SHA-256.
        """
        self._artifacts += artifacts
        self._weights += weights

    def log_metrics(self, metrics: Mapping[str, Any], step: int = 0, prefix: str = "") -> None:
        """Log numbers in one request; nested names are joined by "/". Does nothing while the run is not open."""
        if self._store is None:
            return
        now = int(time.time() * 1000)
        self._waiting += [Metric(name, value, now, step) for name, value in scalars(metrics, prefix).items()]
        # A transaction that an exception tears apart may leave the database locked.
        with short_quiet_requests(), _signals_held():
            self._send_metrics()

    def _open(self) -> None:
        store = MLflowStore(self.tracking_uri, self.experiment_name)
        # Short, since MLflow's list of runs shows about twenty characters.
        name = self.run_name or f"{time.strftime('%Y-%m-%d_%H%M')}_{secrets.token_hex(2)}"
        revision = git_revision()
        store.begin(name, self.tags | ({"git_revision": revision} if revision else {}))
        self._store = store
        # For a process that ends while another thread holds the run open.
        atexit.register(self._close, "KILLED")

    def _log_origin(self) -> None:
        if (store := self._store) is None:
            return
        parameters = [Param(name, text) for name, text in self.parameters.items()]
        for start in range(0, len(parameters), _BATCH):
            store.client.log_batch(self.run_id, params=parameters[start : start + _BATCH])
        if self.manifest is not None:  # for the column "Dataset" of MLflow's list
            dataset = Dataset(self.manifest.name, self.manifest.digest[:12], "manifest", self.manifest.name)
            store.client.log_inputs(self.run_id, [DatasetInput(dataset, tags=[])])

    def _send_metrics(self) -> None:
        """Send what waits; what a server does not take is kept for the next time."""
        if self._store is None or not self._waiting:
            return
        try:
            while self._waiting:
                self._store.client.log_batch(self.run_id, metrics=self._waiting[:1000])
                del self._waiting[:1000]
        except Exception as err:  # whatever it is, it is no reason to lose a training
            _logger.warning("%s does not take the figures now: %s", self._store.address, err)

    def _close(self, status: str, reason: BaseException | None = None) -> None:
        store = self._store
        if store is None:
            return
        try:
            self._send_metrics()
            if reason is not None:
                text = f"{type(reason).__name__}: {reason}"
                store.client.set_tag(self.run_id, "ended_by", text[:_TAG_LENGTH])
            self._log_files(store)
        except Exception as err:
            _logger.warning("%s does not take the files of this run: %s", store.address, err)
        finally:
            try:
                store.end(status)
            except Exception as err:
                _logger.warning("%s cannot be told that this run is %s: %s", store.address, status, err)
            self._store = None
            atexit.unregister(self._close)

    def _log_files(self, store: MLflowStore) -> None:
        for path in self._files(self._artifacts):
            store.client.log_artifact(self.run_id, str(path), self._folder(path))
            if path.name in ("table.md", "robustness.md"):  # MLflow shows this tag as the description of the run
                store.client.set_tag(self.run_id, "mlflow.note.content", path.read_text("utf-8")[:_TAG_LENGTH])
        for path in self._files(self._weights):
            store.client.set_tag(self.run_id, re.sub(r"[^\w.-]", "_", f"sha256_{path.name}"), sha256(path))
            store.client.log_artifact(self.run_id, str(path), self._folder(path))

    def _files(self, patterns: Sequence[str | Path]) -> list[Path]:
        """Return the files that are there, each once, in the order of the patterns."""
        found: dict[Path, None] = {}
        for pattern in map(str, patterns):
            path = self.output_dir / pattern  # an absolute path stays as it is
            if not path.exists() and Path(pattern).is_file():
                path = Path(pattern).resolve()
            matches = [path] if path.exists() else [] if Path(pattern).is_absolute() else self.output_dir.glob(pattern)
            for match in sorted(matches):
                files = sorted(match.rglob("*")) if match.is_dir() else [match]
                found |= dict.fromkeys(file for file in files if file.is_file())
        return list(found)

    def _folder(self, path: Path) -> str | None:
        """Return the folder below `output_dir` that a file lies in, None for the top and for files elsewhere."""
        if not path.is_relative_to(self.output_dir):
            return None
        folder = path.relative_to(self.output_dir).parent.as_posix()
        return None if folder == "." else folder


class MLflowMetrics:
    """Log an engine's epochs to an `MLflowRun`, and keep the run open while the engine runs.

    Args:
        run: the run; the engines of a process have it in common.
        prefix: group of the metrics' names, for example "train", "validation", "test": `validation/psnr`.
        artifacts: files that the engine's handlers write; see `MLflowRun.log_at_end`.
        weights: files of weights, of the same kind.
    """

    def __init__(
        self,
        run: MLflowRun,
        prefix: str = "train",
        artifacts: Sequence[str | Path] = (),
        weights: Sequence[str | Path] = (),
    ) -> None:
        self.run = run
        self.prefix = prefix
        self.artifacts = artifacts
        self.weights = weights

    def attach(self, engine: Engine) -> None:
        """Register with a trainer, a validator or an evaluator."""
        self.run.log_at_end(self.artifacts, self.weights)
        if isinstance(engine, Trainer):
            EpochLoss().attach(engine)
        on_epoch_end_after_all(engine, self._log_epoch)
        hold_during_run(engine, self.run.active)

    def _log_epoch(self, engine: Engine) -> None:
        # A validator counts its epochs as its trainer does.
        self.run.log_metrics(engine.state.metrics, step=engine.state.epoch, prefix=f"{self.prefix}/")


def flatten_parameters(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the plain values of a configuration as MLflow parameters, nested names joined by ".".

    Parameters are numbers, texts, paths, None, and lists of these. What repeats another entry is left out ("@id",
    "%id"), and so are lists of anything else (they are programs, such as "initialize") and "_meta_".
    """
    parameters: dict[str, str] = {}
    for key, value in config.items():
        name = re.sub(r"[^\w./ -]", "_", str(key))[:250]
        if isinstance(value, Mapping):
            if key != "_meta_":
                parameters |= {f"{name}.{inner}"[:250]: text for inner, text in flatten_parameters(value).items()}
        elif isinstance(value, list | tuple):
            if value and all(_is_plain(item) and not str(item).startswith("$") for item in value):
                parameters[name] = json.dumps(value, default=str)[:_PARAMETER_LENGTH]
        elif _is_plain(value):
            parameters[name] = str(value)[:_PARAMETER_LENGTH]
    return parameters


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return not value.startswith(("@", "%"))
    return value is None or isinstance(value, int | float | Path)


# While signals have to wait: 0, and after it the numbers of the signals that wait. Else empty.
_held: list[int] = []


@contextmanager
def _signals_held() -> Iterator[None]:
    """Raise the exception of a signal that comes within the block only when the block has ended."""
    if _held or threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield
        return
    _held.append(0)
    try:
        yield
    finally:
        waiting = _held[1:]
        _held.clear()
    if waiting:
        raise Terminated(128 + waiting[0])


@contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """Raise an exception on SIGTERM and SIGHUP, so that the process ends as after Ctrl-C.

    A signal for which somebody else has set a handler keeps it.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        if _held:
            _held.append(number)
        else:
            raise Terminated(128 + number)

    replaced = []
    if threading.current_thread() is threading.main_thread():  # elsewhere Python refuses
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, stop)
                replaced.append(number)
    try:
        yield
    finally:
        for number in replaced:
            signal.signal(number, signal.SIG_DFL)
