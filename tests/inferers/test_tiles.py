from __future__ import annotations

from typing import Any

import pytest
import torch
from enlarging_network import Enlarge
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from custom.degradations import AreaMean
from custom.errors import UsageError
from custom.inferers import Tiles
from custom.networks import EDSR


@given(
    st.integers(2, 3).flatmap(
        lambda axes: st.tuples(
            *(
                st.tuples(*[st.integers(1, largest)] * axes)
                for largest in (13, 15, 3)  # of an image, of a tile, of a scale
            )
        )
    ),
    st.integers(2, 4),
    st.integers(1, 5),
)
@torch.no_grad()
def test_tiles_equal_the_whole_image(sizes: tuple[tuple[int, ...], ...], halo: int, batch: int) -> None:
    """Tiles larger than the image, odd sizes, an axis of one voxel, and another scale for each axis are among them."""
    shape, tile, scale = sizes
    network = Enlarge(len(shape), scale_factor=scale)
    image = torch.rand(2, 1, *shape)
    tiled = Tiles(tile, halo, scale, batch)(image, network)
    torch.testing.assert_close(tiled, network(image), atol=1e-5, rtol=0)


@torch.no_grad()
def test_each_axis_has_a_halo_of_its_own() -> None:
    """A network that reads 2 voxels along the second axis alone needs no halo along the others."""
    network = nn.Conv3d(1, 1, (1, 5, 1), padding=(0, 2, 0))
    image = torch.rand(1, 1, 7, 9, 8)
    torch.testing.assert_close(Tiles((3, 4, 5), (0, 2, 0))(image, network), network(image), atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_halo_below_the_receptive_radius_shows() -> None:
    network = Enlarge(2)
    image = torch.rand(1, 1, 12, 12)
    assert (Tiles(4, halo=0, scale_factor=2)(image, network) - network(image)).abs().max() > 1e-3


@torch.no_grad()
def test_tiles_of_one_size_go_together() -> None:
    """Of 4 x 4 tiles 4 lie within the image, 4 at edges of either direction, and 4 in corners: batches of 3 and 1."""
    seen: list[tuple[int, ...]] = []
    network = nn.Conv2d(1, 1, 3, padding=1)
    network.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape)))
    Tiles(5, 1, tile_batch=3)(torch.rand(2, 1, 20, 20), network)
    sizes = [(7, 7), (7, 6), (6, 7), (6, 6)]  # with halos of 1, which end at the border
    assert sorted(seen) == sorted((2 * count, 1, *size) for count in (3, 1) for size in sizes)


@torch.no_grad()
def test_tiles_are_computed_on_one_device_and_put_together_on_another() -> None:
    """The device "meta" computes shapes alone, so that a result in memory shows that it was copied there."""
    network = Enlarge(2).to("meta")
    image = torch.rand(1, 1, 6, 8)
    assert Tiles(4, 2, 2, sw_device="meta")(image, network).device.type == "meta"
    with pytest.raises(NotImplementedError, match="meta"):
        Tiles(4, 2, 2, sw_device="meta", device="cpu")(image, network)


@torch.no_grad()
def test_without_a_halo_it_is_the_receptive_radius() -> None:
    network = Enlarge(3)
    image = torch.rand(1, 1, 9, 12, 7)
    assert torch.equal(Tiles(4, None, 2)(image, network), Tiles(4, 2, 2)(image, network))
    with pytest.raises(UsageError, match="give a halo"):
        Tiles(4, None, 2)(image, network.forward)


@pytest.mark.parametrize("tile_size", [1, 3, 4, 7])
@torch.no_grad()
def test_tiles_equal_the_whole_image_where_a_network_sees_blocks_of_voxels(tile_size: int) -> None:
    skip = AreaMean(1, 3).upsampler("cubic")
    network = EDSR(features=3, blocks=1, unshuffle=(2, 4, 1), skip=skip, equivariant=True, gated=True).eval()
    torch.nn.init.normal_(network.gates.factors.weight)
    volume = torch.rand(1, 1, 19, 33, 5)
    result = Tiles(tile_size=(tile_size, 9, 3))(volume, network)
    torch.testing.assert_close(result, network(volume), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tile_size", 0),
        ("tile_size", "auto"),
        ("tile_size", [4, 4, 4]),
        ("halo", -1),
        ("halo", 1.5),
        ("scale_factor", 0),
        ("tile_batch", 0),
    ],
)
def test_tiles_that_cannot_be_are_refused(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=name):
        Tiles(**{"tile_size": 4, "halo": 1, name: value})(torch.zeros(1, 1, 8, 8), Enlarge(2))
