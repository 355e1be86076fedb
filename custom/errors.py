"""Errors for the person at the keyboard: what is wrong, where, and what to do."""

from __future__ import annotations

__all__ = ["InputError", "MissingFileError", "UsageError", "input_error_in"]


class InputError(ValueError):
    """An input that cannot be used: a file, a value in a file, a folder.

    The message names the file or key, says what is wrong and what to do. The commands end with `exit_code` and print
    the message alone, without a traceback.
    """

    exit_code = 1


class MissingFileError(InputError, FileNotFoundError):
    """A file or folder that is not there."""

    # OSError would otherwise print the arguments as an errno pair.
    __str__ = ValueError.__str__


class UsageError(InputError):
    """A command that was given wrongly: a misspelt key, an option that contradicts another."""

    exit_code = 2


def input_error_in(error: BaseException) -> InputError | None:
    """Find the `InputError` that an error of a library wraps, such as the one of a failed transform.

    Args:
        error: as caught; its causes are followed.

    Returns:
        The error itself or the first cause that is an `InputError`, or None.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, InputError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None
