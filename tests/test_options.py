from __future__ import annotations

import pytest

from custom.errors import UsageError
from custom.options import switch


def test_switches_are_true_or_false() -> None:
    assert [switch("x", value) for value in (True, "true", "True", False, "false")] == [True] * 3 + [False] * 2


@pytest.mark.parametrize("value", ["yes", "", "1", None, 1])
def test_nothing_else_is_taken_for_one_of_them(value: object) -> None:
    with pytest.raises(UsageError):
        switch("x", value)  # type: ignore[arg-type]
