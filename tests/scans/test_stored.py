from __future__ import annotations

import numpy as np
import pytest

from custom.scans.stored import count_not_finite, stored_values


def test_integers_are_rounded_and_clipped_and_floats_stay() -> None:
    values = np.array([[-3.0, 0.4, 0.6], [2.5, 254.9, 1000.0]], dtype=np.float32)
    assert stored_values(values, "uint8").tolist() == [[0, 0, 1], [2, 255, 255]]
    assert stored_values(values, "int16", slope=0.5, intercept=-1.0).tolist() == [[-4, 3, 3], [7, 512, 2002]]
    assert np.array_equal(stored_values(values, "float32"), values)


@pytest.mark.parametrize("order", ["C", "F"])
def test_values_that_are_not_finite_are_counted(order: str) -> None:
    values = np.zeros((3, 4, 5), np.float32, order=order)  # type: ignore[call-overload]
    assert count_not_finite(values) == 0
    values[0, 1, 2], values[2, 3, 4] = np.nan, -np.inf
    assert count_not_finite(values) == 2
