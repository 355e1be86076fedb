from __future__ import annotations

import pytest
import torch
from enlarging_network import Enlarge
from torch import Tensor

from custom.errors import UsageError
from custom.inferers import VolumeSlices


@pytest.mark.parametrize("slice_axis", [0, 1, 2, -1])
@pytest.mark.parametrize("pixels", [1, 100, 10**6])
@torch.no_grad()
def test_slices_equal_the_loop_over_slices(slice_axis: int, pixels: int) -> None:
    network = Enlarge(2)
    volume = torch.rand(1, 1, 5, 6, 7)
    result = VolumeSlices(slice_axis, pixels=pixels)(volume, network)
    axis = 2 + slice_axis % 3
    expected = torch.stack([network(part) for part in volume.unbind(axis)], axis)
    torch.testing.assert_close(result, expected)


@torch.no_grad()
def test_context_is_the_neighbours_with_repeated_ends() -> None:
    volume = torch.arange(6.0).reshape(1, 1, 1, 1, 6)
    seen: list[Tensor] = []

    def network(channels: Tensor) -> Tensor:
        seen.append(channels[:, :, 0, 0])
        return channels[:, 1:2]

    result = VolumeSlices(context_slices=3, pixels=4)(volume, network)
    torch.testing.assert_close(result, volume)
    expected = torch.tensor([[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [4, 5, 5]]).float()
    torch.testing.assert_close(torch.cat(seen), expected)


@torch.no_grad()
def test_pictures_are_their_own_context() -> None:
    pictures = torch.rand(3, 1, 4, 5)
    result = VolumeSlices(context_slices=5)(pictures, lambda channels: channels.std(1, keepdim=True))
    assert result.abs().max() < 1e-6


def test_several_volumes_and_impossible_slices_are_refused() -> None:
    # Slices of another volume are no neighbours.
    with pytest.raises(ValueError, match=r"\(2, 1, 3, 3, 3\)"):
        VolumeSlices()(torch.zeros(2, 1, 3, 3, 3), Enlarge(2))
    with pytest.raises(UsageError, match="slice_axis: 3"):
        VolumeSlices(slice_axis=3)
    with pytest.raises(UsageError, match="context_slices: 2"):
        VolumeSlices(context_slices=2)
