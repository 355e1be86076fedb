"""What every bundle command does first and last: keys, errors in words, processes, random state."""

from __future__ import annotations

import difflib
import inspect
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
import torch.distributed as dist
from fire.parser import DefaultParseValue
from monai.bundle import ConfigParser, run
from monai.utils import ensure_tuple, set_determinism

from custom.errors import UsageError, input_error_in
from custom.memory import keep_freed_memory

__all__ = ["config_as_run", "finish", "flag", "start"]

logger = logging.getLogger(__name__)


def start(seed: int | None = 0, distributed: bool = False) -> None:
    """Prepare the process of a bundle command; the first entry of `initialize` in every config.

    Errors of the user are reported in words from here on; a misspelt key on the command line is one. The random
    generators of Python, numpy and torch are set, and freed memory is kept for the next buffer. With `distributed` the
    process joins those that torchrun started: NCCL where there are GPUs, gloo elsewhere; only the first one logs.

    Args:
        seed: of all random generators; None leaves them alone.
        distributed: join the processes of torchrun.

    Raises:
        UsageError: for a misspelt key; for `distributed` without torchrun.
    """
    sys.excepthook = _report
    keep_freed_memory()
    _check_keys(sys.argv)
    if distributed and not dist.is_initialized():
        if "RANK" not in os.environ:
            raise UsageError(
                "the multi_gpu configs run under torchrun: torchrun --nproc_per_node=N -m monai.bundle run ..."
            )
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        if dist.get_rank() > 0:
            logging.disable(logging.WARNING)
    set_determinism(seed=seed)


def finish() -> None:
    """End what `start` began; the last entry of `finalize` in every config."""
    if dist.is_initialized():
        dist.destroy_process_group()


def config_as_run() -> dict[str, Any]:
    """Give the merged config of the running bundle command, overrides of the command line included, not yet resolved.

    Returns:
        An empty dictionary where the process is no bundle command.
    """
    files, overrides = _parse(sys.argv)
    if not files:
        return {}
    parser = ConfigParser()
    parser.read_config(files)
    parser.update(pairs=overrides)
    return dict(parser.get())


def flag(value: bool | str) -> bool:
    """Read a switch of the command line, where `--overwrite true` arrives as a text.

    Raises:
        UsageError: for anything but true and false.
    """
    words = {"true": True, "false": False}
    if str(value).lower() not in words:
        raise UsageError(f"a switch is {value!r}; give true or false")
    return words[str(value).lower()]


def _parse(argv: list[str]) -> tuple[list[str], dict[str, Any]]:
    """Split a command line `run [id] --key value ...` into config files and overrides, as MONAI and Fire do."""
    given: dict[str, Any] = {}
    if "run" not in argv[1:]:
        return [], {}
    rest = argv[argv.index("run") + 1 :]
    for position, token in enumerate(rest):
        if not token.startswith("--"):
            continue
        key, equals, value = token[2:].partition("=")
        if not equals:
            following = rest[position + 1 : position + 2]
            value = following[0] if following and not following[0].startswith("--") else "True"
        given[key.replace("-", "_")] = DefaultParseValue(value)
    if isinstance(given.get("args_file"), str) and Path(given["args_file"]).is_file():
        given = {**ConfigParser.load_config_file(given["args_file"]), **given}
    files = given.pop("config_file", None)
    arguments = inspect.signature(run).parameters
    return _file_list(files), {key: value for key, value in given.items() if key not in arguments}


def _file_list(files: Any) -> list[str]:
    if files is None:
        return []
    return [str(f) for f in (files.split(",") if isinstance(files, str) else ensure_tuple(files))]


def _check_keys(argv: list[str]) -> None:
    """Refuse a key that no config has when it is close to one that they have; mention one that is close to none.

    A key below a misspelt parent (`--trian#trainer#max_epochs`) never comes here: MONAI ends with a KeyError when it
    applies the keys, before any code of a bundle is imported, and its logging.conf may name no classes but Python's.
    """
    files, overrides = _parse(argv)
    if not files:
        return
    config = ConfigParser.load_config_files(files)
    arguments = [name for name in inspect.signature(run).parameters if name != "override"]
    for key in overrides:
        known: Any = {**config, **dict.fromkeys(arguments)}
        above: list[str] = []
        for part in key.replace("::", "#").split("#"):
            if not isinstance(known, Mapping):
                break
            if part not in known:
                close = difflib.get_close_matches(part, [str(k) for k in known], n=1, cutoff=0.7)
                if close:
                    raise UsageError(f"--{key}: no such key; did you mean --{'#'.join([*above, close[0]])}?")
                logger.warning("--%s: no config has this key; it may have no effect", key)
                break
            known = known[part]
            above.append(part)


def _report(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Print an error of the user in words and end with its exit code; print any other with its traceback."""
    cause = input_error_in(error)
    if cause is not None:
        print(f"error: {cause}", file=sys.stderr)
        # Python honours a SystemExit that leaves the hook as the exit code of the process.
        raise SystemExit(cause.exit_code)
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        raise SystemExit(130)
    sys.__excepthook__(kind, error, traceback)
