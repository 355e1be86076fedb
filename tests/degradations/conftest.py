"""Every degradation with every option, on axes and scales that hypothesis draws."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from degradation_cases import DEGRADATIONS
from hypothesis import strategies as st

from custom.degradations import Degradation

# What design and configs use, tried first of all; then whatever hypothesis thinks of.
SCALES = [(2, 2), (4, 4), (3, 3), (1, 4), (1, 1, 4), (2, 2, 2), (3, 1, 2), (4, 4, 4)]


@pytest.fixture(scope="session", params=list(DEGRADATIONS))
def factory(request: pytest.FixtureRequest) -> Callable[[tuple[int, ...]], Degradation]:
    """Makes a degradation from a scale for each axis."""
    return DEGRADATIONS[request.param]


@pytest.fixture(scope="session", params=["area_mean", "kspace_crop", "sharpened"])
def some_factory(request: pytest.FixtureRequest) -> Callable[[tuple[int, ...]], Degradation]:
    """Makes a degradation: one of each kind, for what their common base does."""
    return DEGRADATIONS[request.param]


@pytest.fixture(
    scope="session", params=[name for name, make in DEGRADATIONS.items() if make((2, 2)).border is not None]
)
def image_domain_factory(request: pytest.FixtureRequest) -> Callable[[tuple[int, ...]], Degradation]:
    """Makes a degradation with a finite border from a scale for each axis."""
    return DEGRADATIONS[request.param]


@pytest.fixture(scope="session")
def scales() -> st.SearchStrategy[tuple[int, ...]]:
    """Scales for 2 or 3 axes."""
    return st.sampled_from(SCALES) | st.lists(st.integers(1, 5), min_size=2, max_size=3).map(tuple)


@pytest.fixture(scope="session")
def shapes() -> Callable[[int], st.SearchStrategy[tuple[int, ...]]]:
    """Spatial shapes of so many axes: even, odd, not divided by the scale, smaller than the kernels, 1."""
    return lambda dims: st.tuples(*[st.integers(1, 14 if dims == 2 else 9)] * dims)
