from __future__ import annotations

import pytest

from custom.errors import UsageError
from custom.options import number_above_0, switch


def test_switches_are_true_or_false() -> None:
    assert [switch("x", value) for value in (True, "true", "True", False, "false")] == [True] * 3 + [False] * 2


@pytest.mark.parametrize("value", ["yes", "", "1", None, 1])
def test_nothing_else_is_taken_for_one_of_them(value: object) -> None:
    with pytest.raises(UsageError):
        switch("x", value)  # type: ignore[arg-type]


def test_numbers_above_0_may_be_texts() -> None:
    assert [number_above_0("x", value) for value in (2, "0.5", "inf")] == [2, 0.5, float("inf")]


@pytest.mark.parametrize("value", [0, -1, "nan", "much", None, ""])
def test_no_other_number_is_taken(value: object) -> None:
    with pytest.raises(UsageError, match=r"x is .*give a number above 0"):
        number_above_0("x", value)  # type: ignore[arg-type]
