from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from custom.arrays.slices import neighbouring_slices, slices_to_volume, volume_to_slices


@given(st.tuples(*[st.integers(1, 5)] * 4), st.integers(-3, 2))
def test_there_and_back(shape, slice_axis):
    volume = torch.arange(float(torch.tensor(shape).prod())).reshape(1, *shape)
    slices = volume_to_slices(volume, slice_axis)
    assert torch.equal(slices_to_volume(slices, slice_axis), volume)


def test_the_other_axes_keep_their_order():
    volume = torch.rand(1, 2, 3, 4, 5)
    assert torch.equal(volume_to_slices(volume)[4], volume[0, :, :, :, 4])
    assert torch.equal(volume_to_slices(volume, 1)[2], volume[0, :, :, 2, :])
    assert torch.equal(volume_to_slices(volume, -3)[1], volume[0, :, 1])


def test_images_stay():
    images = torch.rand(2, 1, 3, 4)
    assert volume_to_slices(images) is images


def test_what_is_no_volume_is_refused():
    with pytest.raises(ValueError, match="one volume"):
        volume_to_slices(torch.zeros(2, 1, 3, 3, 3))
    with pytest.raises(ValueError, match="slice_axis: 3"):
        volume_to_slices(torch.zeros(1, 1, 3, 3, 3), 3)
    with pytest.raises(ValueError, match="rows, columns"):
        slices_to_volume(torch.zeros(1, 1, 3, 3, 3))


@pytest.mark.parametrize("spatial", [(2, 3), (2, 3, 2)])
def test_neighbours_are_channels_with_repeated_ends(spatial):
    slices = torch.arange(5.0).reshape(5, 1, *[1] * len(spatial)).expand(5, 1, *spatial)
    found = neighbouring_slices(slices, 0, 5, 3)
    assert found.shape == (5, 3, *spatial)
    expected = [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 4]]
    assert found.flatten(2)[:, :, 0].tolist() == expected
    assert neighbouring_slices(slices, 2, 4, 1).shape == (2, 1, *spatial)
    assert neighbouring_slices(slices, 4, 5, 5).flatten().unique().tolist() == [2, 3, 4]
