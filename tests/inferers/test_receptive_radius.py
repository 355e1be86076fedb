from __future__ import annotations

import pytest
import torch
from enlarging_network import Enlarge
from torch import Tensor, nn

from custom.degradations import AreaMean
from custom.errors import UsageError
from custom.inferers import receptive_radius
from custom.networks import ESPCN, SRResNet

SKIP = AreaMean(4, spatial_dims=2).upsampler("cubic")


@pytest.mark.parametrize("dims", [2, 3])
def test_radii_are_the_sums_of_those_of_the_kernels(dims: int) -> None:
    assert receptive_radius(Enlarge(dims), dims) == (2,) * dims
    along = nn.Sequential(nn.Conv3d(1, 2, (7, 3, 1), padding="same"), nn.ReLU(), nn.Conv3d(2, 1, (5, 1, 1)))
    assert receptive_radius(nn.Sequential(nn.ConstantPad3d((0, 0, 0, 0, 2, 2), 0), along), 3) == (5, 1, 0)


def test_the_further_side_counts() -> None:
    """Of the voxels -4 to 0 the last is the one in the place of the output."""
    network = nn.Sequential(nn.ConstantPad2d((4, 0, 0, 0), 0), nn.Conv2d(1, 1, (1, 5)))
    assert receptive_radius(network, 2) == (0, 4)


@pytest.mark.parametrize("options", [{}, {"equivariant": True, "gated": True}, {"last_activation": "relu"}])
def test_espcn(options: dict[str, bool]) -> None:
    """Kernels of 5, 3, 3, 3; the skip looks 2 pixels far, the gates see the whole image."""
    assert receptive_radius(ESPCN(4, in_channels=3, skip=SKIP, **options), 2, 3) == (5, 5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "network",
    [
        SRResNet(2, 1, 1, 4, 8, 8, "direct", batch_norm=False, skip=SKIP, equivariant=True, gated=True),
        SRResNet(2, 1, 1, 4, 4, 16, prelu_start=0.0),
        SRResNet(3, 1, 1, 2, 8, 1, "direct"),
    ],
)
def test_srresnet_says_the_same_of_itself(network: SRResNet) -> None:
    dims = 3 if isinstance(network.first, nn.Conv3d) else 2
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert receptive_radius(network, dims) == (network.receptive_radius,) * dims
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@torch.no_grad()
def test_weights_of_zero_hide_nothing() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 9, padding=4), nn.Conv2d(4, 1, 1))
    for weight in network.parameters():
        nn.init.zeros_(weight)
    assert receptive_radius(network, 2) == (4, 4)


def test_a_network_that_reads_the_whole_image_is_refused() -> None:
    class Normalised(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image - image.mean(dim=(2, 3), keepdim=True)

    with pytest.raises(UsageError, match="halo is null, and the network reads further"):
        receptive_radius(Normalised(), 2)
