"""Errors for the person at the keyboard: what is wrong, where, and what to do.

The class says what has to change, whichever module finds the fault:

- a file, a folder, or what is in it: `InputError`, exit code 1. With many scans the others go on.
- the command or the config, because no input could make this value right: `UsageError`, exit code 2. Nothing goes on.
- the code of this package, such as two tensors of different shapes: `ValueError` or `TypeError`, with a traceback.

A path that does not exist is a fault of the input; a name that is not in a list of names is a fault of the command.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = [
    "InputError",
    "MissingFileError",
    "UsageError",
    "described",
    "input_error_in",
    "is_fault_of_all",
    "working_on",
]

#: Words in the errors of PyTorch, which has no class of its own for the memory of a processor.
_NO_MEMORY = ("out of memory", "can't allocate memory")

# Longer paths than systems take are cut in messages.
_LONGEST_NAME = 1000


class InputError(ValueError):
    """A file, a folder, or a value in a file that cannot be used.

    The message names the file or key, and says what is wrong and what to do. A command prints only the message, without
    a traceback, and ends with `exit_code`.
    """

    exit_code = 1


class MissingFileError(InputError, FileNotFoundError):
    """A file or folder that does not exist."""

    # OSError would print the message as an error number and its text.
    __str__ = ValueError.__str__


class UsageError(InputError):
    """A wrong command or config: a key that does not exist, a value out of range, or two keys that contradict."""

    exit_code = 2


def input_error_in(error: BaseException) -> InputError | None:
    """Return the `InputError` in an error of a library, such as MONAI's error of a failed transform.

    Args:
        error: the error that was caught.

    Returns:
        The error itself or, of the errors that caused it, the first that is an `InputError`; None if there is none.
    """
    return next((seen for seen in _with_causes(error) if isinstance(seen, InputError)), None)


def described(error: BaseException) -> str:
    """Say in one line what a library raised, for a person who does not know the code."""
    first = error
    while first.__cause__ is not None:  # MONAI raises the error of a part of a config as the cause of its own
        first = first.__cause__
    if isinstance(first, MemoryError) or any(words in str(first) for words in _NO_MEMORY):
        return "not enough memory; give a smaller tile_size or batch_size, or use a machine with more"
    line = next(iter(str(first).splitlines()), "")[:300]
    return f"{type(first).__name__}: {line}; --debug true shows where this comes from"


@contextmanager
def working_on(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let every error of the block have an `InputError` in it: its own or, if there is none, one that names the path.

    Args:
        path: of the file or folder that the block works on.
    """
    try:
        yield
    except Exception as error:
        if input_error_in(error) is not None:
            raise
        name = os.fspath(path)
        name = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}... ({len(name)} letters)"
        raise InputError(f"{name}: cannot be used ({described(error)})") from error


def is_fault_of_all(error: BaseException) -> bool:
    """Say whether what failed for one of many files would fail for each: a wrong command, or a disk that is full."""
    full = (errno.ENOSPC, errno.EDQUOT)
    return isinstance(input_error_in(error), UsageError) or any(
        isinstance(seen, OSError) and seen.errno in full for seen in _with_causes(error)
    )


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    known: list[BaseException] = []
    while seen is not None and seen not in known:
        yield seen
        known.append(seen)
        seen = seen.__cause__ or seen.__context__
