from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from custom.degradations import AreaMean
from custom.errors import UsageError
from custom.networks import ESPCN, SRResNet, ZeroSumConv2d

UPSAMPLE = AreaMean(4, spatial_dims=2).upsampler("cubic")
RESIDUAL = {"features": 8, "blocks": 2, "upsampling": "direct", "batch_norm": False, "prelu_start": 0.25}

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "espcn": lambda: ESPCN(4, 3, skip=UPSAMPLE, equivariant=True),
    "espcn gated": lambda: ESPCN(4, 3, skip=UPSAMPLE, equivariant=True, gated=True),
    "srresnet": lambda: SRResNet(2, 3, 1, 4, **RESIDUAL, skip=UPSAMPLE, equivariant=True),
    "srresnet gated": lambda: SRResNet(2, 3, 1, 4, **RESIDUAL, skip=UPSAMPLE, equivariant=True, gated=True),
}


def network(name: str) -> nn.Module:
    """One with weights as large as those of a trained one."""
    torch.manual_seed(0)
    made = NETWORKS[name]().eval()
    for part, value in made.named_parameters():
        if "factors" in part:
            nn.init.normal_(value, std=0.1)
    return made


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3, 5]))
def test_a_flat_image_gives_nothing_and_edges_are_repeated(rows: int, columns: int, kernel: int) -> None:
    layer = ZeroSumConv2d(2, 4, kernel)
    assert layer(torch.full((1, 2, rows, columns), 3.0)).abs().max() < 1e-5
    image = torch.rand(1, 2, rows, columns)
    radius = kernel // 2
    weight = layer.weight - layer.weight.sum((1, 2, 3), keepdim=True) / layer.weight[0].numel()
    padded = nn.functional.pad(image, (radius,) * 4, mode="replicate")
    torch.testing.assert_close(layer(image), nn.functional.conv2d(padded, weight))


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_scaling_and_shifting_the_image_scales_and_shifts_the_result(name: str) -> None:
    made = network(name)
    image = torch.rand(2, 3, 13, 11)
    changed = made(image)
    assert (changed - UPSAMPLE(image[:, 1:2])).abs().max() > 1e-3
    for factor, shift in ((1.0, -0.3), (3.0, 0.0), (0.25, 2.0)):
        torch.testing.assert_close(made(factor * image + shift), factor * changed + shift, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_a_flat_image_stays_flat_up_to_its_border(name: str) -> None:
    flat = network(name)(torch.full((1, 3, 12, 9), 0.7))
    torch.testing.assert_close(flat, torch.full((1, 1, 48, 36), 0.7))


@pytest.mark.parametrize("name", NETWORKS)
def test_there_are_no_biases_and_the_scripted_network_is_the_same(name: str) -> None:
    made = network(name)
    biases = [part for part, _ in made.named_parameters() if part.endswith("bias")]
    assert all(part.startswith("gates.") for part in biases)
    image: Tensor = torch.rand(2, 3, 10, 8)
    torch.testing.assert_close(torch.jit.script(made)(image), made(image))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ESPCN(4, equivariant=True), "skip is null"),
        (lambda: SRResNet(**RESIDUAL, equivariant=True), "a skip"),
        (lambda: SRResNet(skip=UPSAMPLE, in_channels=1, equivariant=True), "upsampling 'direct'"),
        (lambda: SRResNet(gated=True), "batch_norm false"),
        (lambda: SRResNet(3, gated=True, batch_norm=False), "spatial_dims 2"),
    ],
)
def test_what_does_not_go_together_is_refused(make: Callable[[], nn.Module], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make()
