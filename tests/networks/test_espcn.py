from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from custom.degradations import AreaMean
from custom.errors import UsageError
from custom.networks import ESPCN


def test_parameter_count_of_the_published_network() -> None:
    published = ESPCN(activation="relu", last_activation="relu")
    assert sum(p.numel() for p in published.parameters()) == 61_680


def test_published_network_ends_in_a_relu() -> None:
    image = torch.randn(1, 1, 9, 7)
    assert ESPCN(last_activation="relu")(image).min() == 0
    assert ESPCN(last_activation=None)(image).min() < 0


def test_kernels_are_orthogonal_and_biases_zero() -> None:
    first = ESPCN().body[2]
    rows = first.weight.flatten(1)
    torch.testing.assert_close(rows @ rows.T, torch.eye(64), atol=1e-5, rtol=0)
    assert first.bias.abs().max() == 0


@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from([2, 3, 4]), st.sampled_from([1, 3, 5]))
def test_output_is_scale_times_larger_for_any_size(rows: int, columns: int, scale: int, channels: int) -> None:
    network = ESPCN(scale, channels, skip=AreaMean(scale, spatial_dims=2).upsampler("cubic"))
    assert network(torch.rand(2, channels, rows, columns)).shape == (2, 1, scale * rows, scale * columns)


def test_without_residual_the_result_is_the_interpolated_middle_slice() -> None:
    degradation = AreaMean(4, spatial_dims=2)
    network = ESPCN(4, 5, skip=degradation.upsampler("cubic"))
    with torch.no_grad():
        network.body[6].weight.zero_()
    slices = torch.rand(2, 5, 8, 10)
    torch.testing.assert_close(network(slices), degradation.upsample(slices[:, 2:3], "cubic"))


def test_convolutions_see_no_values_below_zero_and_the_skip_does() -> None:
    network = ESPCN(4, skip=AreaMean(4, spatial_dims=2).upsampler("cubic"))
    image = torch.randn(1, 1, 8, 10)
    clamped = image.clamp(min=0)
    assert network.skip is not None
    difference = network.skip(image) - network.skip(clamped)
    torch.testing.assert_close(network(image), network(clamped) + difference)


def test_receptive_radius_is_five_low_resolution_pixels() -> None:
    network = ESPCN(4, skip=AreaMean(4, spatial_dims=2).upsampler("cubic"))
    image = torch.rand(1, 1, 21, 21, requires_grad=True)
    network(image)[..., 40:44, 40:44].sum().backward()
    assert image.grad is not None
    touched = torch.nonzero(image.grad[0, 0])
    assert touched.min() == 5
    assert touched.max() == 15


def test_scripted_network_gives_the_same() -> None:
    network = ESPCN(4, skip=AreaMean(4, spatial_dims=2).upsampler("cubic")).eval()
    scripted = torch.jit.script(network)
    for shape in [(1, 1, 8, 8), (2, 1, 5, 11)]:
        image = torch.rand(shape)
        torch.testing.assert_close(scripted(image), network(image))


def test_autocast_agrees_with_float32() -> None:
    network = ESPCN(4, skip=AreaMean(4, spatial_dims=2).upsampler("cubic"))
    image = torch.rand(1, 1, 12, 12)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = network(image)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, network(image), atol=0.02, rtol=0)


@pytest.mark.parametrize("arguments", [{"activation": "rellu"}, {"last_activation": "none"}, {"in_channels": 2}])
def test_wrong_arguments_are_named(arguments: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=str(next(iter(arguments.values())))):
        ESPCN(**arguments)  # type: ignore[arg-type]
