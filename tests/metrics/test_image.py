from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import SSIMMetric
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from custom.degradations import AreaMean, SliceBySlice
from custom.metrics import consistency, hfen, image_metrics, largest_inconsistency, mae, psnr, ssim
from custom.metrics.filters import pieces

SHAPES = [(3, 1, 24, 31), (1, 1, 15, 18, 21)]


def pair(shape: tuple[int, ...], noise: float = 0.1) -> tuple[Tensor, Tensor]:
    """A smooth random image, and the same with noise."""
    generator = np.random.default_rng(sum(shape))
    smooth = ndimage.gaussian_filter(generator.random(shape), (0, 0) + (1.2,) * (len(shape) - 2))
    target = (smooth - smooth.min()) / np.ptp(smooth)
    pred = target + noise * generator.standard_normal(shape)
    return torch.from_numpy(pred).float(), torch.from_numpy(target).float()


def log_kernel(spatial_dims: int) -> np.ndarray:
    """The kernel of MATLAB's fspecial('log', 15, 1.5), in 2D or 3D."""
    axes = np.meshgrid(*[np.arange(-7, 8)] * spatial_dims)
    squares = sum(x.astype(float) ** 2 for x in axes)
    gauss = np.exp(-squares / (2 * 1.5**2))
    gauss /= gauss.sum()
    kernel = gauss * (squares - spatial_dims * 1.5**2) / 1.5**4
    return kernel - kernel.mean()


@pytest.mark.parametrize("shape", SHAPES)
def test_psnr_and_mae_equal_skimage_and_numpy(shape):
    pred, target = pair(shape)
    assert psnr(pred, target) == pytest.approx(
        peak_signal_noise_ratio(target.numpy(), pred.numpy(), data_range=1), abs=1e-4
    )
    assert mae(pred, target) == pytest.approx(np.abs(pred.numpy() - target.numpy()).mean(), rel=1e-5)


def test_psnr_by_hand():
    target = torch.zeros(1, 1, 2, 2)
    pred = torch.tensor([[0.1, 0.1], [0.1, 0.1]])[None, None]
    assert psnr(pred, target) == pytest.approx(20, abs=1e-5)
    mask = torch.tensor([[1, 0], [0, 0]])[None, None]
    pred[0, 0, 0, 0] = 0.01
    assert psnr(pred, target, mask) == pytest.approx(40, abs=1e-5)
    assert mae(pred, target, mask) == pytest.approx(0.01)
    assert mae(pred, target) == pytest.approx((0.01 + 0.3) / 4)


def test_identical_images_reach_the_best_values():
    _, target = pair((2, 1, 32, 32))
    assert psnr(target, target) == pytest.approx(100)
    assert ssim(target, target) == pytest.approx(1, abs=1e-6)
    assert mae(target, target) == 0
    assert hfen(target, target) == 0
    flat = torch.full((1, 1, 20, 20), 0.3)
    assert ssim(flat, flat) == pytest.approx(1, abs=1e-6)
    assert hfen(flat, flat) == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_ssim_equals_skimage_and_monai(shape):
    pred, target = pair(shape)
    expected = []
    for guess, truth in zip(pred[:, 0].numpy(), target[:, 0].numpy(), strict=True):
        _, full = structural_similarity(
            truth, guess, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
        )
        expected.append(full[(slice(5, -5),) * full.ndim].mean())
    assert ssim(pred, target) == pytest.approx(np.mean(expected), abs=2e-5)
    monai = SSIMMetric(spatial_dims=len(shape) - 2)(pred, target)
    assert ssim(pred, target) == pytest.approx(float(monai.mean()), abs=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_ssim_in_a_mask_is_the_mean_of_the_map_there(shape):
    pred, target = pair(shape)
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[..., 2:9, 3:12] = True
    expected, count = 0.0, 0
    for guess, truth, inside in zip(pred[:, 0].numpy(), target[:, 0].numpy(), mask[:, 0].numpy(), strict=True):
        _, full = structural_similarity(
            truth, guess, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
        )
        valid = (slice(5, -5),) * full.ndim
        expected += full[valid][inside[valid]].sum()
        count += inside[valid].sum()
    assert ssim(pred, target, mask) == pytest.approx(expected / count, abs=2e-5)


def test_ssim_of_an_image_smaller_than_the_window():
    pred, target = pair((1, 1, 8, 30))
    expected = SSIMMetric(spatial_dims=2, win_size=(7, 11), kernel_sigma=(1.5, 1.5))(pred, target)
    assert ssim(pred, target) == pytest.approx(float(expected), abs=1e-5)
    assert ssim(target[..., :1, :1], target[..., :1, :1]) == pytest.approx(1)


@pytest.mark.parametrize("shape", SHAPES)
def test_hfen_equals_scipy_in_the_interior(shape):
    pred, target = pair((shape[0], 1, *(n + 24 for n in shape[2:])))
    inside = torch.zeros(pred.shape, dtype=torch.bool)
    inside[(..., *[slice(8, -8)] * (len(shape) - 2))] = True
    sums = [0.0, 0.0]
    for guess, truth in zip(pred[:, 0].double().numpy(), target[:, 0].double().numpy(), strict=True):
        for i, image in enumerate((guess - truth, truth)):
            filtered = ndimage.gaussian_laplace(image, 1.5, truncate=7 / 1.5)
            sums[i] += (filtered[(slice(8, -8),) * filtered.ndim] ** 2).sum()
    assert hfen(pred, target, inside) == pytest.approx(math.sqrt(sums[0] / sums[1]), rel=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_hfen_equals_the_dense_kernel_with_repeated_edges(shape):
    pred, target = pair(shape)
    kernel = log_kernel(len(shape) - 2)
    norms = [
        math.sqrt(sum((ndimage.convolve(image[0], kernel, mode="nearest") ** 2).sum() for image in stack))
        for stack in ((pred - target).double().numpy(), target.double().numpy())
    ]
    assert hfen(pred, target) == pytest.approx(norms[0] / norms[1], rel=1e-3)


def test_hfen_ignores_a_constant_and_scales_with_the_error():
    pred, target = pair((1, 1, 40, 40))
    assert hfen(target + 0.25, target) == pytest.approx(0, abs=1e-5)
    assert hfen(0.5 * target, target) == pytest.approx(0.5, rel=1e-5)
    assert hfen(target + 2 * (pred - target), target) == pytest.approx(2 * hfen(pred, target), rel=1e-4)
    flat = torch.zeros(1, 1, 20, 20)
    assert math.isnan(hfen(pred[..., :20, :20], flat))


@pytest.mark.parametrize("shape", SHAPES)
def test_pieces_do_not_show(shape, monkeypatch):
    """Cut small, the volume gives what it gives in one piece."""
    pred, target = pair(shape)
    mask = target > 0.4
    whole = [f(pred, target, m) for f in (ssim, hfen) for m in (None, mask)]
    monkeypatch.setattr("custom.metrics.image.pieces", lambda shape: pieces(shape, 400))
    assert len(list(pieces(shape, 400))) > 3
    assert [f(pred, target, m) for f in (ssim, hfen) for m in (None, mask)] == pytest.approx(whole, rel=1e-6)


def test_what_lies_far_outside_a_mask_does_not_matter():
    pred, target = pair((2, 1, 48, 48))
    mask = torch.zeros(pred.shape)
    mask[..., 16:32, 16:32] = 1
    before = image_metrics(pred, target, mask)
    changed = pred.clone()
    changed[..., :8, :] = math.nan
    changed[..., 40:, :] = 7
    after = image_metrics(changed, target, mask)
    for name in ("psnr", "ssim", "mae", "hfen"):
        assert after[f"{name}_foreground"] == pytest.approx(before[f"{name}_foreground"], rel=1e-6)
        assert after[name] != pytest.approx(before[name])


def test_a_full_mask_is_no_mask_and_an_empty_one_has_no_figure():
    pred, target = pair((1, 1, 24, 24))
    full = image_metrics(pred, target, torch.ones_like(pred))
    empty = image_metrics(pred, target, torch.zeros_like(pred))
    for name in ("psnr", "ssim", "mae", "hfen"):
        assert full[f"{name}_foreground"] == pytest.approx(full[name], rel=1e-6)
        assert math.isnan(empty[f"{name}_foreground"])
        assert empty[name] == full[name]
    assert math.isnan(full["lpips"])


@settings(max_examples=10)
@given(st.integers(0, 4), st.integers(0, 6))
def test_crop_border_equals_cropped_images(rows, columns):
    pred, target = pair((2, 1, 30, 34))
    mask = target > 0.5
    window = (..., slice(rows, 30 - rows), slice(columns, 34 - columns))
    expected = image_metrics(pred[window], target[window], mask[window])
    found = image_metrics(pred, target, mask, crop_border=(rows, columns))
    assert found == pytest.approx(expected, nan_ok=True)


def test_all_at_once_equals_each_alone():
    pred, target = pair((1, 1, 16, 17, 18))
    mask = target > 0.5
    found = image_metrics(pred, target, mask)
    for function in (psnr, ssim, mae, hfen):
        assert found[function.__name__] == function(pred, target)
        assert found[f"{function.__name__}_foreground"] == function(pred, target, mask)


def test_consistency_is_the_rmse_of_the_degraded_result():
    lr = torch.zeros(1, 1, 2, 2)
    sr = torch.zeros(1, 1, 4, 4)
    sr[..., :2, :2] = 0.4
    assert consistency(sr, lr, lambda x: torch.nn.functional.avg_pool2d(x, 2)) == pytest.approx(0.2)
    with pytest.raises(ValueError, match="shape"):
        consistency(sr, lr, lambda x: x)


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match="give both the same"):
        psnr(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 5))


def test_half_precision_is_measured_in_single():
    pred, target = pair((1, 1, 24, 24))
    half = pred.to(torch.bfloat16)
    assert ssim(half, target) == ssim(half.float(), target)


IN_PLANE = SliceBySlice(AreaMean(4, spatial_dims=2))


@pytest.mark.parametrize(
    ("degradation", "shape"),
    [(IN_PLANE, (3, 5, 6, 4)), (IN_PLANE, (2, 5, 6)), (AreaMean(2, spatial_dims=3), (2, 4, 5, 6))],
)
def test_the_largest_inconsistency_is_that_of_one_voxel(degradation, shape):
    """Blocks of equal values agree with their means; a block that is changed by d is off by d."""
    lr = 0.1 + 0.8 * torch.rand((1, *shape), generator=torch.Generator().manual_seed(0))
    sr = degradation.upsample(lr, "nearest")
    assert largest_inconsistency(sr, lr, degradation) == pytest.approx(0, abs=1e-6)
    changed = lr.clone()
    changed[(0, 1, *(n // 2 for n in shape[1:]))] += 0.3
    sr = degradation.upsample(changed, "nearest")
    assert largest_inconsistency(sr, lr, degradation) == pytest.approx(0.3, abs=1e-6)
    sr[(0, 1, *(0 for _ in shape[1:]))] = math.nan
    assert math.isnan(largest_inconsistency(sr, lr, degradation))


def test_the_largest_inconsistency_is_relative_to_the_brightest_voxel_of_the_slice():
    lr = torch.full((1, 1, 4, 4, 2), 0.5)
    lr[..., 0, 0, 1] = 5
    sr = IN_PLANE.upsample(lr, "nearest")
    sr[..., 1] *= 1.1
    assert largest_inconsistency(sr, lr, IN_PLANE) == pytest.approx(0.1)
    sr[..., 0] *= 1.4
    assert largest_inconsistency(sr, lr, IN_PLANE) == pytest.approx(0.2)


def test_the_largest_inconsistency_needs_a_result_that_fits():
    with pytest.raises(ValueError, match="does not fit"):
        largest_inconsistency(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 4, 4), IN_PLANE)
