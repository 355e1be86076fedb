"""The way back to the high-resolution grid: `upsample`, and `upsampler` for networks."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from degradation_cases import noise
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from torch import Tensor, nn

from custom.degradations import (
    UPSAMPLING_METHODS,
    AreaMean,
    Degradation,
    GaussianBlur,
    GaussianDecimation,
    KSpaceCrop,
    PolyphaseUpsampler,
)
from custom.errors import UsageError

Factory = Callable[[tuple[int, ...]], Degradation]
LOCAL_METHODS = ("nearest", "linear", "cubic")


def ramp(coordinates: list[np.ndarray], slopes: list[float]) -> Tensor:
    grid = np.meshgrid(*coordinates, indexing="ij")
    values = 5.0 + sum(slope * x for slope, x in zip(slopes, grid, strict=True))
    return torch.from_numpy(values)[None, None]


# --- where things lie ------------------------------------------------------------------------------------------------


@settings(max_examples=10)
@given(data=st.data())
def test_ramp_stays_in_place(factory: Factory, scales: st.SearchStrategy[tuple[int, ...]], data: st.DataObject) -> None:
    degradation = factory(data.draw(scales))
    grid, scale = degradation.grid, degradation.scale_factor
    shape_lr = [data.draw(st.integers(7, 9)) for _ in scale]
    size = tuple(n * s - data.draw(st.integers(0, s - 1)) for n, s in zip(shape_lr, scale, strict=True))
    slopes = [1.0, -2.0, 0.5][: len(scale)]
    at_lr = [s * np.arange(n) + o for n, s, o in zip(shape_lr, scale, grid.offset, strict=True)]
    truth = ramp([np.arange(n) for n in size], slopes)
    lr = ramp(at_lr, slopes)
    inner = (..., *[slice(2 * s, -3 * s) if s > 1 else slice(None) for s in scale])  # edges are repeated
    for method in ("linear", "cubic"):
        hr = degradation.upsample(lr, method, size=size)
        assert hr.shape == truth.shape
        assert truth[inner].numel() > 0
        torch.testing.assert_close(hr[inner], truth[inner], rtol=0, atol=1e-11)


@pytest.mark.parametrize("scale", [(2, 2), (4, 1), (3, 4), (1, 1, 4)])
def test_zero_filling_of_a_ramp_does_not_ring_from_the_edges(
    image_domain_factory: Factory, scale: tuple[int, ...]
) -> None:
    degradation = image_domain_factory(scale)
    scale = degradation.scale_factor
    at_lr = [s * np.arange(24) + o for s, o in zip(scale, degradation.grid.offset, strict=True)]
    slopes = [1.0 / s for s in scale]  # one an LR voxel
    truth = ramp([np.arange(24 * s) for s in scale], slopes)
    hr = degradation.upsample(ramp(at_lr, slopes), "zero_filled")
    middle = (..., *[slice(6 * s, -6 * s) for s in scale])
    torch.testing.assert_close(hr[middle], truth[middle], rtol=0, atol=0.01)


@given(
    n=st.integers(2, 16), s=st.integers(1, 5), line=st.integers(0, 7), pixel_centre=st.booleans(), cut=st.integers(0, 4)
)
def test_zero_filling_after_a_kspace_crop_puts_plane_waves_in_place(
    n: int, s: int, line: int, pixel_centre: bool, cut: int
) -> None:
    line = min(line, (n - 1) // 2)
    degradation = KSpaceCrop((1, s), pixel_centre_grid=pixel_centre)
    size = n * s - min(cut, s - 1)
    x_lr = s * torch.arange(n, dtype=torch.float64) + degradation.grid.offset[1]
    x_hr = torch.arange(size, dtype=torch.float64)
    wave = [torch.cos(2 * torch.pi * line * x / (n * s) + 0.4)[None, None, None] for x in (x_lr, x_hr)]
    torch.testing.assert_close(
        degradation.upsample(wave[0], "zero_filled", size=(1, size)), wave[1], rtol=0, atol=1e-12
    )


@given(
    shape=st.tuples(*[st.integers(1, 8)] * 2),
    scale=st.tuples(*[st.integers(1, 4)] * 2),
    pixel_centre=st.booleans(),
)
def test_kspace_crop_then_zero_filling_is_a_projection_away_from_the_nyquist_line(
    shape: tuple[int, int], scale: tuple[int, int], pixel_centre: bool
) -> None:
    degradation = KSpaceCrop(scale, pixel_centre_grid=pixel_centre)
    lr = noise(1, 1, *shape)
    for axis, n in enumerate(shape, start=2):
        if n % 2 == 0:  # without its Nyquist component
            sign = (-1.0) ** torch.arange(n, dtype=torch.float64)
            sign = sign.reshape([-1 if a == axis else 1 for a in range(4)])
            lr = lr - (lr * sign).mean(axis, keepdim=True) * sign
    hr = degradation.upsample(lr, "zero_filled")
    torch.testing.assert_close(degradation(hr), lr)
    torch.testing.assert_close(degradation.upsample(degradation(hr), "zero_filled"), hr)


def test_zero_filling_after_a_kspace_crop_is_the_scaled_adjoint() -> None:
    degradation = KSpaceCrop((2, 3))
    lr = noise(1, 1, 6, 5)
    torch.testing.assert_close(degradation.upsample(lr, "zero_filled"), 6 * degradation.adjoint(lr))


@pytest.mark.parametrize("pixel_centre", [True, False])
def test_spline_is_that_of_scipy_on_the_grid(pixel_centre: bool) -> None:
    degradation = KSpaceCrop((4, 3), pixel_centre_grid=pixel_centre)
    lr = noise(1, 1, 9, 8)
    places = [(np.arange(n * s) - o) / s for n, s, o in zip((9, 8), (4, 3), degradation.grid.offset, strict=True)]
    expected = ndimage.map_coordinates(lr[0, 0].numpy(), np.meshgrid(*places, indexing="ij"), order=3, mode="mirror")
    torch.testing.assert_close(degradation.upsample(lr, "spline")[0, 0].numpy(), expected, rtol=0, atol=1e-12)


def test_spline_reproduces_a_cubic_polynomial_and_its_voxels() -> None:
    at_lr, at_hr = 3 * np.arange(40.0), np.arange(120.0)  # scale 3, offset 0: every third voxel is one of the input
    polynomial = np.polynomial.Polynomial([1.0, 2.0, -3.0, 0.5])
    lr = torch.from_numpy(polynomial(at_lr / 40))[None, None, None]
    hr = KSpaceCrop((1, 3), pixel_centre_grid=False).upsample(lr, "spline")
    torch.testing.assert_close(hr[..., ::3], lr, rtol=0, atol=1e-11)
    truth = torch.from_numpy(polynomial(at_hr / 40))
    # Far from the borders, where the mirror image is no polynomial.
    torch.testing.assert_close(hr[0, 0, 0, 45:75], truth[45:75], rtol=0, atol=1e-6)


# --- other programs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "mode", "shape"),
    [
        ("linear", "bilinear", (5, 7)),
        ("linear", "trilinear", (5, 4, 3)),
        ("nearest", "nearest", (5, 7)),
        ("nearest", "nearest", (5, 4, 3)),
    ],
)
@pytest.mark.parametrize("s", [2, 3, 4])
def test_pixel_centre_interpolation_is_that_of_torch_up_to_the_border(
    method: str, mode: str, shape: tuple[int, ...], s: int
) -> None:
    lr = noise(2, 3, *shape)
    expected = F.interpolate(lr, scale_factor=s, mode=mode, align_corners=None if mode == "nearest" else False)
    torch.testing.assert_close(AreaMean(s, len(shape)).upsample(lr, method), expected)


@pytest.mark.parametrize("s", [2, 3, 4])
def test_cubic_is_that_of_torch_and_pil_with_the_same_a_away_from_the_border(s: int) -> None:
    lr = noise(1, 1, 9, 11, dtype=torch.float32)
    result = AreaMean(s, 2).upsample(lr, "cubic")
    # With antialias=True torch takes a = -0.5 (enlarging needs no wider kernel), else -0.75.
    by_torch = F.interpolate(lr, scale_factor=s, mode="bicubic", antialias=True, align_corners=False)
    by_pil = Image.fromarray(lr[0, 0].numpy()).resize((11 * s, 9 * s), Image.Resampling.BICUBIC)
    inner = slice(2 * s, -2 * s)
    for expected in (by_torch[0, 0], torch.from_numpy(np.array(by_pil))):
        torch.testing.assert_close(result[0, 0, inner, inner], expected[inner, inner], rtol=0, atol=1e-5)


def test_edges_are_repeated(factory: Factory) -> None:
    degradation = factory((3, 4))
    lr = noise(1, 1, 4, 5)
    padded = F.pad(lr, [3, 3, 3, 3], mode="replicate")
    y = [3 * s for s in degradation.scale_factor]
    for method in LOCAL_METHODS:
        wide = degradation.upsample(padded, method)[:, :, y[0] : -y[0], y[1] : -y[1]]
        torch.testing.assert_close(degradation.upsample(lr, method), wide)


@pytest.mark.parametrize("degradation", [AreaMean((3, 4)), GaussianDecimation((3, 4)), KSpaceCrop((2, 5))])
def test_nearest_takes_the_nearest_voxel_centre(degradation: Degradation) -> None:
    lr = noise(1, 1, 4, 5)
    hr = degradation.upsample(lr, "nearest")
    grid = degradation.grid
    for position in itertools.product(*[range(n) for n in hr.shape[2:]]):
        at = [(x - o) / s for x, o, s in zip(position, grid.offset, grid.scale, strict=True)]
        # Halfway between two voxels the lower one.
        index = [min(max(int(np.ceil(t - 0.5)), 0), n - 1) for t, n in zip(at, lr.shape[2:], strict=True)]
        assert hr[0, 0, position[0], position[1]] == lr[0, 0, index[0], index[1]]


# --- promises of all methods -----------------------------------------------------------------------------------------


@settings(max_examples=10)
@given(data=st.data())
def test_constants_are_kept_in_any_size(
    factory: Factory,
    scales: st.SearchStrategy[tuple[int, ...]],
    shapes: Callable[[int], st.SearchStrategy[tuple[int, ...]]],
    data: st.DataObject,
) -> None:
    degradation = factory(data.draw(scales))
    size = data.draw(shapes(degradation.spatial_dims))
    lr = torch.full((1, 2, *degradation.grid.shape_lr(size)), 3.0, dtype=torch.float64)
    for method in UPSAMPLING_METHODS:
        hr = degradation.upsample(lr, method, size=size)
        torch.testing.assert_close(hr, torch.full((1, 2, *size), 3.0, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", UPSAMPLING_METHODS)
def test_gradients_types_and_complex_images(some_factory: Factory, method: str) -> None:
    degradation = some_factory((2, 3))
    lr = noise(1, 1, 4, 3)
    assert torch.autograd.gradcheck(lambda x: degradation.upsample(x, method), lr.clone().requires_grad_())
    hr = degradation.upsample(lr, method)
    assert hr.dtype == torch.float64
    half = degradation.upsample(lr.to(torch.bfloat16), method)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.double(), hr, rtol=0.02, atol=0.05)
    pair = degradation.upsample(torch.complex(lr, -2.0 * lr), method)
    torch.testing.assert_close(pair, torch.complex(hr, -2.0 * hr))


# --- the module for networks -----------------------------------------------------------------------------------------


@settings(max_examples=10)
@example(scale=(4, 4), shape=(24, 24), pixel_centre=True)
@example(scale=(1, 1, 4), shape=(3, 4, 5), pixel_centre=False)
@given(
    scale=st.lists(st.integers(1, 5), min_size=2, max_size=3).map(tuple),
    shape=st.tuples(*[st.integers(1, 7)] * 3),
    pixel_centre=st.booleans(),
)
def test_module_equals_upsample(scale: tuple[int, ...], shape: tuple[int, ...], pixel_centre: bool) -> None:
    degradation = KSpaceCrop(scale, pixel_centre_grid=pixel_centre)
    lr = noise(2, 3, *shape[: len(scale)])
    for method in LOCAL_METHODS:
        expected = degradation.upsample(lr, method)
        upsampler = degradation.upsampler(method)
        torch.testing.assert_close(upsampler(lr.float()), expected.float(), rtol=0, atol=3e-6)
        torch.testing.assert_close(upsampler.double()(lr), expected, rtol=0, atol=1e-13)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # newer versions of torch prefer torch.export
@pytest.mark.parametrize("method", LOCAL_METHODS)
@pytest.mark.parametrize(
    ("scale", "pixel_centre"), [((4, 4), True), ((2, 3), False), ((1, 1, 4), True), ((2, 2, 2), False)]
)
def test_scripted_and_traced_equal_eager_at_any_size(scale: tuple[int, ...], pixel_centre: bool, method: str) -> None:
    upsampler = KSpaceCrop(scale, pixel_centre_grid=pixel_centre).upsampler(method)
    scripted = torch.jit.script(upsampler)
    traced = torch.jit.trace(upsampler, torch.ones(1, 1, *(4,) * len(scale)))
    for shape in ((2, 3, *(6, 5, 7)[: len(scale)]), (1, 1, *(1,) * len(scale)), (3, 1, *(9, 2, 4)[: len(scale)])):
        x = noise(*shape, dtype=torch.float32)
        expected = upsampler(x)
        torch.testing.assert_close(scripted(x), expected, rtol=0, atol=1e-6)
        torch.testing.assert_close(traced(x), expected, rtol=0, atol=1e-6)


def test_module_stays_float32_under_autocast_and_in_a_network_of_16_bits() -> None:
    upsampler = AreaMean(3, 2).upsampler("cubic")
    x = noise(1, 1, 6, 5, dtype=torch.float32)
    expected = upsampler(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(upsampler(x), expected)
    network = nn.Sequential(upsampler).to(torch.bfloat16)
    assert torch.equal(network(x), expected)
    assert network(x.to(torch.bfloat16)).dtype == torch.bfloat16


def test_module_has_nothing_to_learn_or_to_store() -> None:
    upsampler = AreaMean(4, 2).upsampler("cubic")
    assert not list(upsampler.parameters())
    assert not upsampler.state_dict()
    assert "method='cubic'" in repr(upsampler)
    x = noise(1, 1, 3, 3)
    assert torch.autograd.gradcheck(PolyphaseUpsampler((2, 3), (0.5, 1.0)), x.requires_grad_())


def test_module_takes_grids_that_lie_far_off() -> None:
    lr = ramp([2 * np.arange(9) + 5.0, 3 * np.arange(9) - 4.0], [1.0, -2.0])
    truth = ramp([np.arange(18), np.arange(27)], [1.0, -2.0])
    for method in ("linear", "cubic"):
        hr = PolyphaseUpsampler((2, 3), (5.0, -4.0), method)(lr)
        torch.testing.assert_close(hr[:, :, 8:, :16], truth[:, :, 8:, :16], rtol=0, atol=1e-5)


def test_identity_without_a_scale() -> None:
    x = noise(1, 1, 4, 4, dtype=torch.float32)
    assert torch.equal(GaussianBlur(1.0, 2).upsampler("cubic")(x), x)


def test_unknown_methods_are_refused() -> None:
    with pytest.raises(UsageError, match="method='zero_filled'"):
        AreaMean(2, 2).upsampler("zero_filled")
    with pytest.raises(UsageError, match="method='bicubic'"):
        AreaMean(2, 2).upsampler("bicubic")
    with pytest.raises(UsageError, match="method='bicubic'"):
        AreaMean(1, 2).upsampler("bicubic")
