from __future__ import annotations

import math

import pytest
import torch

from custom.degradations.appearance import bias_fields, blurring_matrices, changed_contrast, shrinking_matrices


@pytest.mark.parametrize("inverted", [0.0, 1.0])
def test_a_contrast_keeps_air_dark_and_has_no_steep_steps(inverted: float) -> None:
    torch.manual_seed(0)
    ramp = torch.linspace(0, 1.2, 601).expand(64, 1, 1, -1)
    curves = changed_contrast(ramp, inverted)[:, 0, 0]
    assert (curves[:, 0] == 0).all()
    slopes = curves.diff(dim=1) / 0.002
    assert slopes[:, 76:].abs().max() <= 2.5 + 1e-3  # beyond the first knot
    if inverted:
        assert (slopes[:, 76:] <= 1e-3).all()
        assert curves.min() >= 0
    else:
        assert (slopes >= -1e-3).all()
    assert curves.std(dim=0).max() > 0.1  # no two alike


def test_a_bias_field_stays_within_its_strength_and_is_smooth() -> None:
    torch.manual_seed(0)
    rows, columns = bias_fields(50, (40, 30), (0.3, 0.3))
    field = rows[:, :, None] * columns[:, None]
    assert field.shape == (50, 40, 30)
    exponent = field.log().abs().amax((1, 2))
    assert exponent.max() <= 0.3 + 1e-5
    assert exponent.min() > 0.15
    assert field.diff(dim=1).abs().max() < 0.05


@pytest.mark.parametrize("factor", [1.0, 1.3, 2.0])
def test_shrinking_keeps_the_centre_and_makes_a_ramp_steeper(factor: float) -> None:
    [matrix] = shrinking_matrices(torch.tensor([factor]), 80, 40)
    ramp = torch.arange(80.0) - 39.5
    expected = (torch.arange(40.0) - 19.5) * factor
    inner = slice(2, -2)  # at the ends of factor 2 the kernel is cut off
    torch.testing.assert_close((matrix @ ramp)[inner], expected[inner], rtol=0, atol=0.02)
    torch.testing.assert_close(matrix.sum(1), torch.ones(40))
    if factor == 1.0:
        torch.testing.assert_close(matrix, torch.eye(80)[20:60])


@pytest.mark.parametrize("sigma", [1.0, 3.5])
def test_blurring_multiplies_a_wave_by_the_transform_of_the_gaussian(sigma: float) -> None:
    [matrix] = blurring_matrices(torch.tensor([sigma]), 100)
    wave = torch.cos(2 * torch.pi * 0.08 * torch.arange(100))
    factor = math.exp(-2 * (math.pi * 0.08 * sigma) ** 2)
    torch.testing.assert_close((matrix @ wave)[20:-20], factor * wave[20:-20], rtol=0, atol=1e-4)
    torch.testing.assert_close(matrix.sum(1), torch.ones(100))
