from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from custom.degradations.ranges import checked_range, uniform
from custom.errors import UsageError


def test_one_number_is_a_range_of_no_width() -> None:
    assert checked_range("noise", [0.0, 0.05]) == (0.0, 0.05)
    assert checked_range("noise", 0.03) == (0.03, 0.03)


@pytest.mark.parametrize("value", [[0.2, 0.1], [0.1], [0.1, 0.2, 0.3], "0.1", [-0.1, 0.2], [0.1, 1.5], math.nan, True])
def test_what_is_no_range_names_its_key_and_the_limits(value: Any) -> None:
    with pytest.raises(UsageError, match=r"noise is .*between 0 and 1"):
        checked_range("noise", value, 0.0, 1.0)


def test_numbers_fill_their_range() -> None:
    torch.manual_seed(0)
    numbers = uniform(-1.0, 3.0, 4000)
    assert numbers.shape == (4000,)
    assert -1.0 <= float(numbers.min()) < -0.95
    assert 2.95 < float(numbers.max()) <= 3.0
    assert float(numbers.mean()) == pytest.approx(1.0, abs=0.1)
