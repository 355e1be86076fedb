from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from custom.degradations import AreaMean
from custom.errors import InputError, UsageError
from custom.networks import SRResNet
from custom.weights import load_weights, save_checkpoint

OPTIONS = [
    *itertools.product(["pixel_shuffle", "nearest"], ["convolution_first", "resize_first"]),
    ("direct", "convolution_first"),
]


def small(**arguments) -> SRResNet:
    torch.manual_seed(0)
    return SRResNet(**{"features": 8, "blocks": 2, "prelu_start": 0.25, **arguments}).eval()


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("upsampling", "channels", "trained", "total"),
    [
        ("pixel_shuffle", 3, 1_550_659, 1_554_883),
        ("nearest", 3, 2_040_067, 2_044_291),
        ("pixel_shuffle", 1, 1_529_921, 1_534_145),
        ("nearest", 1, 1_988_225, 1_992_449),
    ],
)
def test_parameter_counts_of_the_published_networks(upsampling, channels, trained, total):
    network = SRResNet(in_channels=channels, out_channels=channels, upsampling=upsampling)
    statistics = sum(b.numel() for name, b in network.named_buffers() if name.endswith(("_mean", "_var")))
    assert (parameters(network), parameters(network) + statistics) == (trained, total)


def test_initial_values_are_those_of_keras():
    network = SRResNet(blocks=1)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fans = (module.in_channels + module.out_channels) * module.kernel_size[0] ** 2
            bound = (6 / fans) ** 0.5
            assert module.weight.abs().max() <= bound
            assert module.weight.detach().var().item() == pytest.approx(bound**2 / 3, rel=0.1)
            assert module.bias.abs().max() == 0
        elif isinstance(module, nn.BatchNorm2d):
            assert (module.eps, module.momentum) == (1e-3, 0.2)
        elif isinstance(module, nn.PReLU):
            assert module.weight.shape == (64,)
            assert module.weight.abs().max() == 0


@given(
    st.sampled_from([2, 3]),
    st.sampled_from([1, 2, 4, 8]),
    st.sampled_from(OPTIONS),
    st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 3)),
)
def test_output_is_scale_times_larger_for_any_size(dims, scale, option, size):
    network = small(spatial_dims=dims, scale_factor=scale, upsampling=option[0], order=option[1], features=8, blocks=1)
    with torch.no_grad():
        enlarged = network(torch.rand(2, 1, *size[:dims]))
    assert enlarged.shape == (2, 1, *(scale * n for n in size[:dims]))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # MONAI's 3D shuffle compares the channels
@pytest.mark.parametrize(("upsampling", "order"), OPTIONS)
@pytest.mark.parametrize("dims", [2, 3])
def test_scripted_and_traced_equal_eager_and_the_gradient_reaches_all_parameters(dims, upsampling, order):
    network = small(
        spatial_dims=dims,
        scale_factor=2,
        upsampling=upsampling,
        order=order,
        skip=AreaMean(2, spatial_dims=dims).upsampler("cubic"),
    )
    image = torch.rand(2, 1, *(7, 5, 4)[:dims])
    result = network(image)
    torch.testing.assert_close(torch.jit.script(network)(image), result)
    other = image[:1, :, 2:]  # traced with another size
    torch.testing.assert_close(torch.jit.trace(network, image)(other), network(other))
    result.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_without_residual_the_result_is_the_interpolated_middle():
    degradation = AreaMean(4, spatial_dims=2)
    network = small(in_channels=3, skip=degradation.upsampler("cubic"))
    nn.init.zeros_(network.tail[-1].weight)
    slices = torch.rand(2, 3, 8, 10)
    torch.testing.assert_close(network(slices), degradation.upsample(slices[:, 1:2], "cubic"))


def test_a_skip_starts_near_the_interpolation():
    without, with_skip = small(), small(skip=AreaMean(4, spatial_dims=2).upsampler("cubic"))
    torch.testing.assert_close(with_skip.tail[-1].weight, 0.1 * without.tail[-1].weight)


def test_layers_in_their_order_against_a_plain_calculation():
    """One block, scale 2, written out with functions; batch norm with its own statistics."""
    network = small(blocks=1, scale_factor=2, residual_scaling=0.3).double()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight)
            nn.init.uniform_(module.bias)
    w = network.state_dict()

    def conv(x, name):
        return nn.functional.conv2d(
            x, w[f"{name}.weight"], w[f"{name}.bias"], padding=w[f"{name}.weight"].shape[-1] // 2
        )

    def norm(x, name):
        mean, var, gain, bias = (
            w[f"{name}.{key}"][:, None, None] for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-3).sqrt() * gain + bias

    def prelu(x, name):
        return torch.where(x > 0, x, w[f"{name}.weight"][:, None, None] * x)

    image = torch.rand(1, 1, 5, 6, dtype=torch.float64)
    x0 = conv(image, "first")
    a = prelu(x0, "activation")
    b = norm(conv(a, "body.0.branch.0"), "body.0.branch.1")
    b = norm(conv(prelu(b, "body.0.branch.2"), "body.0.branch.3"), "body.0.branch.4")
    y = norm(conv(a + 0.3 * b, "body.1"), "body.2") + x0
    y = conv(y, "tail.0")  # 32 channels: phases (row, column) of 8, interleaved by hand
    z = torch.zeros(1, 8, 10, 12, dtype=torch.float64)
    for row, column in itertools.product(range(2), range(2)):
        z[:, :, row::2, column::2] = y[:, 2 * row + column :: 4]
    expected = conv(prelu(z, "tail.2"), "tail.3")
    torch.testing.assert_close(network(image), expected)


def test_no_batch_norm_leaves_none():
    network = small(batch_norm=False)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert parameters(small()) - parameters(network) == (2 * 2 + 1) * 2 * 8


@pytest.mark.parametrize(("upsampling", "order"), OPTIONS)
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_receptive_radius(upsampling, order, scale):
    network = small(scale_factor=scale, upsampling=upsampling, order=order, features=4).double()
    radius = network.receptive_radius
    image = torch.rand(1, 1, 2 * radius + 5, 3, dtype=torch.float64, requires_grad=True)
    middle = radius + 2
    (gradient,) = torch.autograd.grad(
        network(image)[..., scale * middle : scale * (middle + 1), 1].square().sum(), image
    )
    read = gradient.abs().sum(dim=(0, 1, 3)).nonzero().flatten()
    assert (int(read[0]), int(read[-1])) == (middle - radius, middle + radius)


def test_default_receptive_radius_is_forty():
    assert SRResNet().receptive_radius == 40


@pytest.mark.parametrize("dims", [2, 3])
def test_with_icnr_an_enlargement_is_nearest_at_the_start(dims):
    """So a shifted input gives a shifted output, and all pixels of a lattice cell are equal before the last layer."""
    network = small(spatial_dims=dims, icnr=True, blocks=1, scale_factor=2)
    with torch.no_grad():
        enlarged = network.tail[:2](torch.rand(1, 8, *(5, 4, 3)[:dims]))
    for axis in range(2, 2 + dims):
        even, odd = (enlarged.unflatten(axis, (-1, 2)).select(axis + 1, i) for i in range(2))
        assert torch.equal(even, odd)
    assert enlarged.std() > 0


def test_the_direct_enlargement_is_one_convolution_and_one_shuffle():
    network = small(upsampling="direct", scale_factor=4, icnr=True)
    last = network.tail[0]
    assert last.weight.shape == (16, 8, 3, 3)
    image = torch.rand(1, 8, 5, 6)
    with torch.no_grad():
        enlarged, channels = network.tail(image), last(image)
    torch.testing.assert_close(enlarged, nn.functional.pixel_shuffle(channels, 4))
    # ICNR: all 16 pixels of a cell are equal at the start.
    assert torch.equal(enlarged, channels[:, :1].repeat_interleave(4, 2).repeat_interleave(4, 3))
    with pytest.raises(UsageError, match="resize_first"):
        small(upsampling="direct", order="resize_first")


def test_bfloat16_of_autocast_is_close_and_a_skip_keeps_the_precision_of_the_image():
    network = small(skip=AreaMean(4, spatial_dims=2).upsampler("cubic"))
    image = torch.rand(1, 1, 9, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = network(image)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, network(image), atol=0.03, rtol=0)


def test_weights_of_another_form_with_equal_shapes_are_refused(tmp_path):
    path = tmp_path / "model.pt"
    save_checkpoint(small().state_dict(), path)
    load_weights(small(icnr=True, prelu_start=0.1), path)
    for other in (
        {"residual_scaling": 0.1},
        {"skip": AreaMean(4, spatial_dims=2).upsampler("cubic")},
    ):
        with pytest.raises(InputError, match="weights of another network"):
            load_weights(small(**other), path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"scale_factor": 3}, "scale_factor is 3"),
        ({"scale_factor": 0}, "scale_factor is 0"),
        ({"spatial_dims": 1}, "spatial_dims is 1"),
        ({"upsampling": "bicubic"}, "upsampling is 'bicubic'; choose one of pixel_shuffle, nearest"),
        ({"order": "none"}, "order is 'none'"),
        ({"icnr": True, "upsampling": "nearest"}, "icnr is true"),
        ({"order": "resize_first", "features": 6}, "features is 6"),
        ({"in_channels": 2, "skip": nn.Identity()}, "in_channels is 2"),
    ],
)
def test_arguments_that_are_refused(arguments, words):
    with pytest.raises(UsageError, match=words):
        small(**arguments)
