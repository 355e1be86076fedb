from __future__ import annotations

from typing import Any

import pytest
import torch
from enlarging_network import Enlarge
from hypothesis import given
from hypothesis import strategies as st

from custom.errors import UsageError
from custom.inferers import Tiles


@given(
    st.lists(st.integers(1, 13), min_size=2, max_size=3),
    st.lists(st.integers(1, 9), min_size=3, max_size=3),
)
@torch.no_grad()
def test_tiles_equal_the_whole_image(shape: list[int], tile: list[int]) -> None:
    network = Enlarge(len(shape))
    image = torch.rand(2, 1, *shape)
    tiled = Tiles(tile[: len(shape)], halo=2, scale_factor=2)(image, network)
    torch.testing.assert_close(tiled, network(image))


@torch.no_grad()
def test_a_halo_below_the_receptive_radius_shows() -> None:
    network = Enlarge(2)
    image = torch.rand(1, 1, 12, 12)
    assert (Tiles(4, halo=0, scale_factor=2)(image, network) - network(image)).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tile_size", 0),
        ("tile_size", "auto"),
        ("tile_size", [4, 4, 4]),
        ("halo", -1),
        ("halo", None),
        ("scale_factor", 0),
    ],
)
def test_tiles_that_cannot_be_are_refused(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=name):
        Tiles(**{"tile_size": 4, "halo": 1, name: value})(torch.zeros(1, 1, 8, 8), Enlarge(2))
