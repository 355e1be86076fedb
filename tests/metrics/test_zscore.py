from __future__ import annotations

import math

import pytest
import torch
from monai.metrics import SSIMMetric

from custom.errors import InputError
from custom.metrics import psnr, zscore_metrics


def _pair(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = 0.3 + 0.2 * torch.rand(shape, generator=generator)
    return target + 0.02 * torch.randn(shape, generator=generator), target


@pytest.mark.parametrize("shape", [(1, 1, 20, 21), (4, 3, 20, 21), (1, 2, 14, 13, 12)])
def test_psnr_is_that_of_the_image_plus_the_deviation_in_db(shape: tuple[int, ...]) -> None:
    pred, target = _pair(*shape)
    expected = psnr(pred, target) + 20 * math.log10(target.double().std(correction=0).item())
    assert zscore_metrics(pred, target)["psnr_zscore"] == pytest.approx(expected, abs=1e-4)


def test_ssim_is_monais_on_z_scores_with_range_one() -> None:
    pred, target = _pair(1, 1, 24, 25)
    mean, deviation = target.mean(), target.std(correction=0)
    oracle = SSIMMetric(spatial_dims=2, data_range=1.0)((pred - mean) / deviation, (target - mean) / deviation)
    assert zscore_metrics(pred, target)["ssim_zscore"] == pytest.approx(float(oracle), abs=1e-4)


def test_neither_unit_nor_offset_matters() -> None:
    pred, target = _pair(1, 1, 20, 20)
    moved = zscore_metrics(700 * pred + 50, 700 * target + 50)
    assert moved == pytest.approx(zscore_metrics(pred, target), rel=1e-4)


def test_a_border_is_left_out_before_the_statistics() -> None:
    pred, target = _pair(1, 1, 20, 20)
    inner = zscore_metrics(pred[..., 2:-2, 2:-2], target[..., 2:-2, 2:-2])
    target[..., 0] = 100.0
    assert zscore_metrics(pred, target, crop_border=2) == pytest.approx(inner)
    with pytest.raises(InputError, match="crop_border"):
        zscore_metrics(pred, target, crop_border=10)


def test_a_constant_target_has_no_z_score() -> None:
    pred, target = _pair(1, 1, 20, 20)
    assert all(math.isnan(value) for value in zscore_metrics(pred, torch.full_like(target, 0.5)).values())
