"""The command line of a bundle command: its config files and keys, and the errors that it ends with.

MONAI and Fire evaluate what is typed: `2024_10` is a number for them, `None` is nothing, `T1#2` a key of a config, and
`$open('a')` is run. Paths are therefore taken from the command line once more, as they were typed.
"""

from __future__ import annotations

import difflib
import inspect
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from types import TracebackType
from typing import Any

from fire.parser import DefaultParseValue
from monai.bundle import ConfigParser, run
from monai.utils import ensure_tuple

from custom.errors import UsageError, described, input_error_in

__all__ = ["check_command_line", "config_as_run", "report_errors", "typed_paths", "use_typed_paths"]

logger = logging.getLogger(__name__)

#: The keys whose values are never evaluated.
PATH_KEYS = ("input", "output_dir", "dataset_dir", "checkpoint", "series", "hdf5_dataset")


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
    command = _Command.of(sys.argv)
    if not command.files:
        return {}
    parser = ConfigParser()
    parser.read_config(command.files)
    parser.update(pairs=command.overrides)
    return {**parser.get(), **typed_paths()}


def typed_paths() -> dict[str, str | list[str]]:
    """Return the values of `PATH_KEYS` that the command line has, as they were typed; several inputs are a list.

    Raises:
        UsageError: for a key without a value, with an empty one, or with several that are no inputs.
    """
    words = _Command.of(sys.argv).words
    paths: dict[str, str | list[str]] = {}
    for key in PATH_KEYS:
        if key not in words:
            continue
        values = [value for value in words[key] if value]
        if len(values) < len(words[key]):
            raise UsageError(f"--{key} has no value; a path that begins with - is given as --{key}=-a or --{key} ./-a")
        if len(values) > 1 and key != "input":
            raise UsageError(f"--{key} is given {len(values)} times; give it once")
        paths[key] = values if len(values) > 1 else values[0]
    return paths


def use_typed_paths(resolved: MutableMapping[str, Any]) -> None:
    """Give the running config the paths of the command line as they were typed.

    Args:
        resolved: what MONAI has resolved of the config so far, by keys; `__local_refs` in an expression of a config. A
            key that is in it is not resolved any more.

    Raises:
        UsageError: as `typed_paths`.
    """
    resolved.update(typed_paths())


def check_command_line() -> None:
    """Refuse words that MONAI takes for something else than they look like, and misspelt keys.

    A key that no config has is refused when it is close to one that they have, and mentioned when it is close to none.
    A key below a misspelt parent (`--trian#trainer#max_epochs`) never comes here: MONAI ends with a KeyError when it
    applies the keys, before any code of a bundle is imported, and its logging.conf may name no classes but Python's.

    Raises:
        UsageError: naming the word, and what to write instead.
    """
    command = _Command.of(sys.argv)
    if not command.files:
        return
    if command.separators:
        raise UsageError("a - or -- on its own hides the words behind it; give a path of this name as ./-")
    # MONAI takes a second one for the name of the expressions that prepare the run, which then do not take place.
    if len(command.positions) > (0 if "run_id" in command.words else 1):
        raise UsageError(
            f"{command.positions[-1]!r} belongs to no option; quote a path with spaces, and give several inputs as "
            "--input A --input B"
        )
    config = ConfigParser.load_config_files(command.files)
    if "tracking" in command.words and "tracking" in config:
        raise UsageError("--tracking: runs are recorded without it; --tracking_uri says where")
    arguments = [name for name in inspect.signature(run).parameters if name != "override"]
    for key in command.overrides:
        *above, name = key.replace("::", "#").split("#")
        if above and name in PATH_KEYS:
            raise UsageError(f"--{key}: give --{name}, which all parts of the config use")
        _check_key(key, {**config, **dict.fromkeys(arguments)})


def _check_key(key: str, config: Mapping[str, Any]) -> None:
    known: Any = config
    above: list[str] = []
    for part in key.replace("::", "#").split("#"):
        if not isinstance(known, Mapping):
            return
        if part not in known:
            close = difflib.get_close_matches(part, [str(k) for k in known], n=1, cutoff=0.7)
            if close:
                raise UsageError(f"--{key}: no such key; did you mean --{'#'.join([*above, close[0]])}?")
            logger.warning("--%s: no config has this key; it may have no effect", key)
            return
        known = known[part]
        above.append(part)


@dataclass(frozen=True)
class _Command:
    """A command line `run [id] --key value ...`, taken apart as MONAI and Fire do it.

    Attributes:
        words: of each option, in the order of the line; None where an option has no value.
        positions: the words that belong to no option.
        separators: how many words are Fire's own, - and --.
        given: the options of `words` and of the file `args_file`, evaluated.
    """

    words: Mapping[str, list[str | None]]
    positions: list[str]
    separators: int
    given: Mapping[str, Any]

    @classmethod
    def of(cls, argv: list[str]) -> _Command:
        """Take a command line apart; one that runs no bundle has no words."""
        words: dict[str, list[str | None]] = {}
        positions: list[str] = []
        rest = argv[argv.index("run", 1) + 1 :] if "run" in argv[1:] else []
        is_taken = False
        for word, following in zip_longest(rest, rest[1:]):
            if is_taken:
                is_taken = False
            elif _is_option(word):
                key, equals, value = word.lstrip("-").partition("=")
                is_taken = not equals and following is not None and not _is_option(following)
                words.setdefault(key.replace("-", "_"), []).append(value if equals else following if is_taken else None)
            else:
                positions.append(word)
        given = {key: DefaultParseValue("True" if values[-1] is None else values[-1]) for key, values in words.items()}
        if isinstance(given.get("args_file"), str) and Path(given["args_file"]).is_file():
            given = {**ConfigParser.load_config_file(given["args_file"]), **given}
        return cls(words, positions, sum(word in ("-", "--") for word in rest), given)

    @property
    def files(self) -> list[str]:
        """The config files; none where no bundle is run."""
        files = self.given.get("config_file") or ()
        return [str(file) for file in (files.split(",") if isinstance(files, str) else ensure_tuple(files))]

    @property
    def overrides(self) -> dict[str, Any]:
        """The keys of the config that are given, evaluated."""
        arguments = inspect.signature(run).parameters
        return {key: value for key, value in self.given.items() if key not in arguments}


def _is_option(word: str) -> bool:
    """Say whether Fire takes a word for the name of an option."""
    return word.startswith("--") or re.match("-[a-zA-Z]", word) is not None


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
