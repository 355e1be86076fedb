from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from custom.metrics.filters import filter_axis, gaussian_taps, laplacian_of_gaussian, pieces, widen


def test_taps_are_a_gaussian_that_sums_to_1():
    taps = gaussian_taps(1.5, 11)
    assert sum(taps) == pytest.approx(1)
    assert np.log(taps[5] / np.array(taps)) == pytest.approx(np.arange(-5, 6) ** 2 / (2 * 1.5**2))


def test_an_axis_is_correlated_where_all_taps_lie_in_it():
    image = np.random.default_rng(0).random((2, 1, 9, 7))
    taps = [0.5, -1.0, 3.0]
    found = filter_axis(torch.from_numpy(image), taps, 2)
    np.testing.assert_allclose(found, ndimage.correlate1d(image, taps, axis=2)[:, :, 1:-1])


@pytest.mark.parametrize("shape", [(1, 1, 20, 24), (1, 1, 18, 17, 19)])
def test_laplacian_is_the_sum_of_the_second_derivatives(shape):
    """Of a quadratic it is exact up to the truncation of the Gaussian; of a constant it is 0."""
    axes = torch.meshgrid(*[torch.arange(n, dtype=torch.float64) for n in shape[2:]], indexing="ij")
    quadratic = sum((k + 1) * x**2 for k, x in enumerate(axes)) + 5
    found = laplacian_of_gaussian(quadratic[None, None], 1.5, 15)
    assert found.shape == (1, 1, *(n - 14 for n in shape[2:]))
    expected = sum(2 * (k + 1) for k in range(len(axes)))
    torch.testing.assert_close(found, torch.full_like(found, expected), rtol=2e-3, atol=0)
    assert laplacian_of_gaussian(torch.full(shape, 0.3), 1.5, 15).abs().max() < 1e-6


def test_a_slice_of_the_result_needs_a_wider_one_of_the_input():
    image = torch.rand(1, 1, 30, 5)
    taps = gaussian_taps(1.0, 7)
    part = slice(4, 9)
    assert torch.equal(filter_axis(image[:, :, widen(part, 6)], taps, 2), filter_axis(image, taps, 2)[:, :, part])


@given(st.lists(st.integers(1, 9), min_size=3, max_size=4), st.integers(1, 300))
def test_pieces_cover_once(sizes, max_voxels):
    shape = (sizes[0], 1, *sizes[1:])
    seen = np.zeros(shape, int)
    for items, rows in pieces(shape, max_voxels):
        seen[items, :, rows] += 1
    assert (seen == 1).all()
