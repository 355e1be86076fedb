from __future__ import annotations

import pytest
import torch
from enlarging_network import Enlarge

from custom.degradations import AreaMean, Grid
from custom.errors import UsageError
from custom.inferers import FlipEnsemble

GRID = AreaMean(2, spatial_dims=2).grid


@torch.no_grad()
def test_flip_ensemble_commutes_with_flips_and_is_the_mean() -> None:
    network = Enlarge(2)
    image = torch.rand(1, 1, 6, 8)
    result = FlipEnsemble(GRID)(image, network)
    torch.testing.assert_close(FlipEnsemble(GRID)(image.flip(2), network).flip(2), result)
    by_hand = [network(image.flip(f)).flip(f) for f in ([], [2], [3], [2, 3])]
    torch.testing.assert_close(result, torch.stack(by_hand).mean(0))
    assert torch.equal(FlipEnsemble(GRID, enabled=False)(image, network), network(image))


@pytest.mark.parametrize("offset", [(0.0, 0.5), (0.0, 0.0)])
def test_a_grid_on_which_mirror_images_lie_apart_is_refused(offset: tuple[float, float]) -> None:
    grid = Grid((2, 2), offset)
    assert not grid.is_symmetric
    with pytest.raises(UsageError, match="leave flip_ensemble out"):
        FlipEnsemble(grid)
    assert not FlipEnsemble(grid, enabled="false").enabled
