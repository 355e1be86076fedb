from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from custom.degradations import AreaMean
from custom.inferers import Tiles
from custom.networks import ESPCN, ImageGates, SRResNet

UPSAMPLE = AreaMean(4, spatial_dims=2).upsampler("cubic")


def test_the_description_is_that_of_the_formula_and_has_no_unit() -> None:
    gates = ImageGates(2, [3])
    # Channel 0: values 3 and -1, mean of magnitudes 2, root mean square sqrt 5. Channel 1: always 2.
    responses = torch.tensor([[[3.0, -1.0], [2.0, 2.0]]])[..., None]
    expected = torch.tensor([[0.0, 0.0, math.log(math.sqrt(5) / 2), 0.0]])
    torch.testing.assert_close(gates.describe(responses), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(gates.describe(100 * responses), expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_factors_start_at_one_and_stay_between_zero_and_two() -> None:
    gates = ImageGates(4, [3, 5])
    first, second = gates(torch.randn(2, 8))
    assert first.shape == (2, 3)
    assert second.shape == (2, 5)
    assert bool((torch.cat([first, second], 1) == 1).all())
    nn.init.normal_(gates.factors.weight)
    changed = torch.cat(gates(50 * torch.randn(2, 8)), 1)
    assert float(changed.min()) >= 0
    assert 1.5 < float(changed.max()) <= 2


@pytest.mark.parametrize("name", ["espcn", "srresnet"])
@torch.no_grad()
def test_tiles_equal_the_whole_image_since_they_know_its_description(name: str) -> None:
    torch.manual_seed(0)
    if name == "espcn":
        network: ESPCN | SRResNet = ESPCN(4, skip=UPSAMPLE, gated=True)
        halo = 5
    else:
        network = SRResNet(2, 1, 1, 4, 8, 2, "direct", batch_norm=False, skip=UPSAMPLE, gated=True)
        halo = network.receptive_radius
    assert network.gates is not None
    nn.init.normal_(network.gates.factors.weight, std=0.3)
    image = torch.rand(2, 1, 23, 19)
    whole = network(image)
    for tile_batch in (1, 3):
        torch.testing.assert_close(Tiles(6, halo, 4, tile_batch)(image, network), whole, atol=1e-5, rtol=0)
    # Without the description each tile has its own factors, and the result differs.
    alone = Tiles(6, halo, 4)(image, lambda tile: network(tile))
    assert (alone - whole).abs().max() > 1e-4


@torch.no_grad()
def test_each_image_of_a_batch_has_its_own_factors() -> None:
    network = ESPCN(4, skip=UPSAMPLE, gated=True)
    assert network.gates is not None
    nn.init.normal_(network.gates.factors.weight, std=0.3)
    images = torch.cat([torch.rand(1, 1, 12, 12), torch.linspace(0, 1, 12).expand(1, 1, 12, 12)])
    torch.testing.assert_close(network(images), torch.cat([network(images[:1]), network(images[1:])]))
