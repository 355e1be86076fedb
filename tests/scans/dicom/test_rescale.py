"""Real numbers in 16 bits: half a stored unit of the source where the range allows, and never wrapped."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom.scans.dicom.rescale import choose_rescale, decimal_string


@given(
    low=st.floats(-1e6, 1e6),
    span=st.floats(0.0, 1e7),
    slope=st.floats(1e-4, 1e4),
    intercept=st.sampled_from([0.0, -1024.0, 3.7]),
    signed=st.booleans(),
)
def test_no_value_is_off_by_more_than_half_a_step(
    low: float, span: float, slope: float, intercept: float, signed: bool
) -> None:
    rescale = choose_rescale(low, low + span, slope, intercept, signed)
    values = np.linspace(low, low + span, 101)
    back = rescale.stored(values) * rescale.slope + rescale.intercept
    # the source's own step, or the finest of 65535 (and of 16 characters) that reaches over the range
    finest = max(slope, span / 65533)
    assert np.abs(back - values).max() <= 0.5 * finest * (1 + 1e-6) + 1e-9 * np.abs(values).max()
    assert rescale.stored(values).dtype == rescale.dtype


@pytest.mark.parametrize(
    ("low", "high", "slope", "intercept", "signed", "expected"),
    [
        (0.0, 409.5, 0.1, 0.0, False, (0.1, 0.0, False)),  # as the source
        (-3.0, 409.5, 0.1, 0.0, False, (0.1, 0.0, True)),  # undershoot needs a sign
        (-3.0, 409.5, 0.1, -10.0, False, (0.1, -10.0, False)),  # the intercept makes room
        (0.0, 1200.0, 1.0, 0.0, True, (1.0, 0.0, True)),  # signed stays signed
        (0.0, 60000.0, 1.0, 0.0, True, (1.0, 0.0, False)),  # unless it does not fit
        (-5.0, 60000.0, 1.0, 0.0, True, (1.0, -5.0, False)),  # neither fits: moved
    ],
)
def test_the_way_of_the_source_is_kept_where_it_fits(
    low: float, high: float, slope: float, intercept: float, signed: bool, expected: tuple[float, float, bool]
) -> None:
    rescale = choose_rescale(low, high, slope, intercept, signed)
    assert (rescale.slope, rescale.intercept, rescale.signed) == expected


def test_values_beyond_the_limits_are_clipped() -> None:
    rescale = choose_rescale(0.0, 100.0, 1.0, 0.0, False)
    np.testing.assert_array_equal(rescale.stored(np.array([-7.0, 70000.0])), [0, 65535])


@given(st.floats(-1e30, 1e30))
def test_a_decimal_string_fits_into_16_characters_and_is_near(value: float) -> None:
    text = decimal_string(value)
    assert len(text) <= 16
    assert float(text) == pytest.approx(value, rel=1e-8, abs=1e-300)
