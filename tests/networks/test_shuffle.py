from __future__ import annotations

import pytest
import torch
from monai.networks.utils import pixelshuffle, pixelunshuffle

from custom.networks.shuffle import ChannelsToVoxels, VoxelsToChannels


@pytest.mark.parametrize("axes", [2, 3])
def test_with_one_factor_they_are_the_pixel_shuffles_of_monai(axes: int) -> None:
    channels = torch.rand(2, 3 * 2**axes, *(3, 4, 5)[:axes])
    voxels = pixelshuffle(channels, axes, 2)
    assert torch.equal(ChannelsToVoxels([2] * axes)(channels), voxels)
    assert torch.equal(VoxelsToChannels([2] * axes)(voxels), pixelunshuffle(voxels, axes, 2))


def test_a_factor_for_each_axis() -> None:
    volume = torch.arange(2 * 3 * 4.0).reshape(1, 1, 2, 3, 4)
    channels = VoxelsToChannels([1, 3, 2])(volume)
    assert channels.shape == (1, 6, 2, 1, 2)
    assert channels[0, :, 1, 0, 1].tolist() == volume[0, 0, 1, :, 2:].flatten().tolist()
    assert torch.equal(ChannelsToVoxels([1, 3, 2])(channels), volume)
