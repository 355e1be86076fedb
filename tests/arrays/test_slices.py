from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from custom.arrays.slices import (
    checked_context_slices,
    neighbouring_slices,
    slices_to_volume,
    volume_to_slices,
)
from custom.errors import UsageError


@given(st.tuples(*[st.integers(1, 4)] * 5), st.integers(-3, 2))
def test_there_and_back(shape, slice_axis):
    volumes = torch.arange(float(torch.tensor(shape).prod())).reshape(shape)
    slices = volume_to_slices(volumes, slice_axis)
    assert torch.equal(slices_to_volume(slices, slice_axis, len(volumes)), volumes)


def test_the_slices_of_one_volume_are_a_view():
    volume = torch.rand(1, 2, 3, 4, 5)
    for axis in range(3):
        assert volume_to_slices(volume, axis).untyped_storage().data_ptr() == volume.untyped_storage().data_ptr()


def test_the_other_axes_keep_their_order():
    volume = torch.rand(1, 2, 3, 4, 5)
    assert torch.equal(volume_to_slices(volume)[4], volume[0, :, :, :, 4])
    assert torch.equal(volume_to_slices(volume, 1)[2], volume[0, :, :, 2, :])
    assert torch.equal(volume_to_slices(volume, -3)[1], volume[0, :, 1])


@pytest.mark.parametrize("wrong", [3, -4, 1.0, "last", None])
def test_axes_that_a_volume_does_not_have_are_refused(wrong):
    with pytest.raises(UsageError, match=f"slice_axis: {wrong!r}"):
        volume_to_slices(torch.zeros(1, 1, 3, 3, 3), wrong)


@pytest.mark.parametrize("wrong", [0, 2, -1, 3.0, "3", None])
def test_context_without_a_middle_is_refused(wrong):
    assert checked_context_slices(5) == 5
    with pytest.raises(UsageError, match=f"context_slices: {wrong!r}"):
        checked_context_slices(wrong)


def test_images_stay():
    images = torch.rand(2, 1, 3, 4)
    assert volume_to_slices(images) is images


def test_what_is_no_volume_is_refused():
    with pytest.raises(ValueError, match=r"\(1, 3, 3\)"):
        volume_to_slices(torch.zeros(1, 3, 3))
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
