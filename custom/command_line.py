"""The command line of a bundle command: its config files and keys, and the errors that it ends with."""

from __future__ import annotations

import difflib
import inspect
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from fire.parser import DefaultParseValue
from monai.bundle import ConfigParser, run
from monai.utils import ensure_tuple

from custom.errors import UsageError, described, input_error_in

__all__ = ["check_keys", "config_as_run", "report_errors"]

logger = logging.getLogger(__name__)


def report_errors(debug: bool = False) -> None:
    """Report errors in words from here on, and end with their exit code.

    Args:
        debug: print tracebacks as well, those of scans that failed while the others went on included.
    """
    sys.excepthook = _report
    logging.getLogger("custom").setLevel(logging.DEBUG if debug else logging.NOTSET)


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


def check_keys() -> None:
    """Refuse a key that no config has when it is close to one that they have; mention one that is close to none.

    A key below a misspelt parent (`--trian#trainer#max_epochs`) never comes here: MONAI ends with a KeyError when it
    applies the keys, before any code of a bundle is imported, and its logging.conf may name no classes but Python's.
    """
    files, overrides = _parse(sys.argv)
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


def _report(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Print an error in words, and end with its exit code."""
    if logger.isEnabledFor(logging.DEBUG):
        sys.__excepthook__(kind, error, traceback)
    cause = input_error_in(error)
    # Python honours a SystemExit that leaves the hook as the exit code of the process.
    if isinstance(error, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        raise SystemExit(130)
    print(f"error: {cause or described(error)}", file=sys.stderr)
    raise SystemExit(cause.exit_code if cause else 1)
