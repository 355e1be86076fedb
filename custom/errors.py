"""Errors for the person at the keyboard: what is wrong, where, and what to do.

The class says what has to change, whichever module finds the fault:

- a file, a folder, or what is in it: `InputError`, exit code 1. With many scans the others go on.
- the command or the config, because no input could make this value right: `UsageError`, exit code 2. Nothing goes on.
- the code of this package, such as two tensors of different shapes: `ValueError` or `TypeError`, with a traceback.

A path that does not exist is a fault of the input; a name that is not in a list of names is a fault of the command.
"""

from __future__ import annotations

__all__ = ["InputError", "MissingFileError", "UsageError", "input_error_in"]


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
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, InputError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None
