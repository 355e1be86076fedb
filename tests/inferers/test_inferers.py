from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from custom.errors import UsageError
from custom.inferers import Autocast, FlipEnsemble, Tiles, VolumeSlices, autocast_dtype


class _Enlarge(nn.Module):
    """A network of receptive radius 2 that doubles every axis; its zero padding shows where the image ends."""

    def __init__(self, spatial_dims: int, channels: int = 1) -> None:
        super().__init__()
        kind = nn.Conv2d if spatial_dims == 2 else nn.Conv3d
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layers = nn.Sequential(kind(channels, 3, 3, padding=1), nn.ReLU(), kind(3, 1, 3, padding=1))

    def forward(self, image: Tensor) -> Tensor:
        return F.interpolate(self.layers(image), scale_factor=2, mode="nearest")


@given(
    st.lists(st.integers(1, 13), min_size=2, max_size=3),
    st.lists(st.integers(1, 9), min_size=3, max_size=3),
)
@torch.no_grad()
def test_tiles_equal_the_whole_image(shape: list[int], tile: list[int]) -> None:
    network = _Enlarge(len(shape))
    image = torch.rand(2, 1, *shape)
    tiled = Tiles(tile[: len(shape)], halo=2, scale_factor=2)(image, network)
    torch.testing.assert_close(tiled, network(image))


@torch.no_grad()
def test_a_halo_below_the_receptive_radius_shows() -> None:
    network = _Enlarge(2)
    image = torch.rand(1, 1, 12, 12)
    assert (Tiles(4, halo=0, scale_factor=2)(image, network) - network(image)).abs().max() > 1e-3


@pytest.mark.parametrize("arguments", [{"tile_size": 0}, {"tile_size": 4, "halo": -1}])
def test_impossible_tiles_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="give"):
        Tiles(**arguments)


@pytest.mark.parametrize("slice_axis", [0, 1, 2, -1])
@pytest.mark.parametrize("pixels", [1, 100, 10**6])
@torch.no_grad()
def test_slices_equal_the_loop_over_slices(slice_axis: int, pixels: int) -> None:
    network = _Enlarge(2)
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


@torch.no_grad()
def test_flip_ensemble_commutes_with_flips_and_is_the_mean() -> None:
    network = _Enlarge(2)
    image = torch.rand(1, 1, 6, 8)
    result = FlipEnsemble()(image, network)
    torch.testing.assert_close(FlipEnsemble()(image.flip(2), network).flip(2), result)
    by_hand = [network(image.flip(f)).flip(f) for f in ([], [2], [3], [2, 3])]
    torch.testing.assert_close(result, torch.stack(by_hand).mean(0))
    assert torch.equal(FlipEnsemble(enabled=False)(image, network), network(image))


@torch.no_grad()
def test_autocast_runs_in_bfloat16_and_returns_float32() -> None:
    kinds: list[torch.dtype] = []
    layer = nn.Conv2d(1, 1, 3)
    layer.register_forward_hook(lambda module, inputs, output: kinds.append(output.dtype))
    assert Autocast(True)(torch.rand(1, 1, 8, 8), layer).dtype == torch.float32
    Autocast(False)(torch.rand(1, 1, 8, 8), layer)
    assert kinds == [torch.bfloat16, torch.float32]


def test_automatic_precision_is_one_of_the_two_and_stays() -> None:
    assert autocast_dtype("auto", "cpu") in (None, torch.bfloat16)
    assert autocast_dtype("auto", "cpu") is autocast_dtype("auto", "cpu")
    with pytest.raises(UsageError, match="sometimes"):
        autocast_dtype("sometimes", "cpu")
