from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from custom.degradations.kernels import gaussian_weights, interpolation_weights, keys_cubic


@pytest.mark.parametrize(("sigma", "count"), [(0.0, 1), (0.1, 1), (0.13, 3), (1.0, 9), (2.5, 21)])
def test_gaussian_is_that_of_scipy_cut_at_4_sigma(sigma: float, count: int) -> None:
    weights = gaussian_weights(sigma)
    assert len(weights) == count
    unit = np.zeros(101)
    unit[50] = 1.0
    expected = gaussian_filter1d(unit, sigma, truncate=4.0) if sigma else unit
    np.testing.assert_allclose(weights, expected[50 - count // 2 : 51 + count // 2], atol=1e-15)


@given(x=st.floats(0, 1), curve=st.tuples(*[st.floats(-2, 2)] * 3))
def test_keys_kernel_reproduces_parabolas(x: float, curve: tuple[float, float, float]) -> None:
    samples = np.arange(-1, 3)
    values = np.polyval(curve, samples)
    assert values @ keys_cubic(x - samples) == pytest.approx(np.polyval(curve, x), abs=1e-12)


@given(scale=st.integers(1, 6), offset=st.floats(-7, 7))
def test_interpolation_weights_reproduce_constants_and_straight_lines(scale: int, offset: float) -> None:
    for method in ("nearest", "linear", "cubic"):
        first, weights = interpolation_weights(scale, offset, method)
        np.testing.assert_allclose(weights.sum(1), 1.0)
        centres = weights @ (first + np.arange(weights.shape[1]))
        error = np.abs(centres - (np.arange(scale) - offset) / scale)
        assert error.max() <= (0.5 if method == "nearest" else 1e-9) + 1e-9
