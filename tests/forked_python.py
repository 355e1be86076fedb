"""Python processes that start at once: copies of one that has imported what takes seconds to import.

Run as a script, this file is that one. For each request it forks; a copy takes arguments, environment, folder and
output of its own, runs as `python` with these arguments would, and ends as Python ends, exception hook and exit code
included.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

__all__ = ["ForkedPython"]

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 240  # after which a process that hangs is killed


class ForkedPython:
    """Starts Python processes.

    Args:
        folder: for what they print.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._server: subprocess.Popen[str] | None = None
        # Where these are set MLflow behaves as in tests, and not as for a user.
        ours = {"PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER", "PYTEST_VERSION", "CI"}
        # The package comes from the folder of the repository, wherever the environment is.
        self._environment = {name: value for name, value in os.environ.items() if name not in ours} | {
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
        }

    def run(self, *arguments: str, folder: Path = ROOT, **environment: str) -> CompletedProcess[str]:
        """Run `python *arguments` in a folder, with further environment variables."""
        return self._run(arguments, folder, [environment])[0]

    def run_ranks(self, ranks: int, *arguments: str, folder: Path = ROOT) -> list[CompletedProcess[str]]:
        """Run processes with the environment in which torchrun starts its own."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": str(ranks)}
        return self._run(arguments, folder, [{**group, "RANK": str(r), "LOCAL_RANK": str(r)} for r in range(ranks)])

    def close(self) -> None:
        """End the process that is copied."""
        if self._server is not None:
            self._server.communicate()

    def _run(
        self, arguments: Sequence[str], folder: Path, environments: Sequence[Mapping[str, str]]
    ) -> list[CompletedProcess[str]]:
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, __file__],
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        processes = []
        for environment in environments:
            self._count += 1
            output = self._folder / str(self._count)
            processes.append({"output": str(output), "environment": {**self._environment, **environment}})
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        request = {"arguments": arguments, "folder": str(folder), "processes": processes}
        print(json.dumps(request), file=self._server.stdin, flush=True)
        codes = json.loads(self._server.stdout.readline())
        said = [[Path(f"{p['output']}.{stream}").read_text() for stream in ("out", "err")] for p in processes]
        return [CompletedProcess(arguments, code, *texts) for code, texts in zip(codes, said, strict=True)]


def _fork_for_each_request() -> list[str]:
    """Return, in a copy only, the arguments that it is to run with."""
    for line in sys.stdin:
        request = json.loads(line)
        children = []
        for process in request["processes"]:
            child = os.fork()
            if child == 0:
                _become(process, request["folder"])
                return list(request["arguments"])
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        print(json.dumps(codes), flush=True)
    raise SystemExit


def _become(process: Mapping[str, Any], folder: str) -> None:
    signal.alarm(SECONDS)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    paths = [(os.devnull, os.O_RDONLY), *((f"{process['output']}.{stream}", flags) for stream in ("out", "err"))]
    for descriptor, (path, flag) in enumerate(paths):
        os.dup2(os.open(path, flag), descriptor)
    os.environ.clear()
    os.environ.update(process["environment"])
    os.chdir(folder)


if __name__ == "__main__":
    for name in ("monai.bundle", "mlflow.store.tracking.sqlalchemy_store", "custom.engines", "custom.handlers"):
        importlib.import_module(name)
    gc.freeze()  # else a copy that ends visits everything, and so copies its memory
    kind, *sys.argv = _fork_for_each_request()
    if kind == "-m":
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        program, sys.argv[0] = sys.argv[0], "-c"
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv.insert(0, kind)
        runpy.run_path(kind, run_name="__main__")
