from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from custom.metrics import mean_interval, paired_difference

VALUES = [28.1, 27.5, 29.9, 28.4, 30.2, 26.8]
numbers = st.lists(st.floats(-100, 100), min_size=1, max_size=8)


def test_interval_equals_scipy():
    found = mean_interval(VALUES)
    expected = stats.bootstrap(
        (VALUES,), np.mean, method="percentile", n_resamples=10_000, rng=np.random.default_rng(1), vectorized=True
    ).confidence_interval
    assert found.mean == pytest.approx(np.mean(VALUES))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.05)


@given(numbers)
def test_the_interval_covers_the_mean_and_lies_within_the_values(values):
    found = mean_interval(values)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert min(values) - 1e-9 <= found.low <= found.mean <= found.high <= max(values) + 1e-9


def test_the_same_values_give_the_same_interval():
    assert mean_interval(VALUES) == mean_interval(VALUES)


def test_one_subject_has_no_width():
    found = mean_interval([3.25])
    assert (found.low, found.mean, found.high) == (3.25, 3.25, 3.25)


def test_missing_values_are_left_out():
    assert mean_interval([1.0, math.nan, 3.0]).mean == 2
    assert math.isnan(mean_interval([math.nan]).low)
    assert math.isnan(mean_interval([]).mean)


def test_a_constant_gain_is_certain_however_much_subjects_differ():
    found = paired_difference([v + 0.5 for v in VALUES], VALUES)
    assert (found.low, found.mean, found.high) == pytest.approx((0.5, 0.5, 0.5))
    assert mean_interval(VALUES).high - mean_interval(VALUES).low > 1


def test_pairs_must_match():
    with pytest.raises(ValueError, match="2 subjects"):
        paired_difference([1.0, 2.0], [1.0])
