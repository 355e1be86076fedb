"""Values of options as the command line gives them."""

from __future__ import annotations

from custom.errors import UsageError

__all__ = ["number_above_0", "switch"]


def number_above_0(name: str, value: float | str) -> float:
    """Read an option that is a number above 0; `--consistency_limit inf` arrives as a text.

    Args:
        name: of the option, for the error.
        value: a number, also as a text; "inf" too.

    Raises:
        UsageError: for anything else.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = 0.0
    if not number > 0:
        raise UsageError(f"{name} is {value!r}; give a number above 0, or inf")
    return number


def switch(name: str, value: bool | str) -> bool:
    """Read an option that is on or off; `--overwrite true` arrives from MONAI's command line as a text.

    Args:
        name: of the option, for the error.
        value: True, False, or one of these as a text in capital or small letters.

    Raises:
        UsageError: for anything else.
    """
    words = {"true": True, "false": False}
    if str(value).lower() not in words:
        raise UsageError(f"{name} is {value!r}; give true or false")
    return words[str(value).lower()]
