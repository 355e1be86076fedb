from __future__ import annotations

import math

import pytest
import torch

from custom.metrics import flicker


def test_an_error_that_stays_does_not_flicker():
    truth = torch.rand(1, 5, 7, 6)
    assert flicker(truth, truth) == 0
    assert flicker(truth + 0.3 * torch.rand(1, 1, 7, 6), truth) == pytest.approx(0, abs=1e-7)


def test_an_error_that_grows_flickers_by_its_step():
    truth = torch.rand(1, 4, 5, 6, 3)
    steps = torch.tensor([0.0, 0.1, 0.3, 0.2]).view(1, 4, 1, 1, 1)
    assert flicker(truth + steps, truth) == pytest.approx((0.1 + 0.2 + 0.1) / 3, abs=1e-6)


def test_motion_that_is_followed_is_no_flicker_and_motion_that_is_missed_is():
    """An edge of height 1 moves by one pixel a frame; a still picture of it is wrong in one pixel more each time."""
    x = torch.arange(20.0)
    truth = torch.stack([(x < 5 + t).float().expand(8, 20) for t in range(4)])[None]
    assert flicker(truth.clone(), truth) == 0
    assert flicker(truth[:, :1].expand_as(truth), truth) == pytest.approx(1 / 20)


def test_independent_noise():
    noise = 0.05 * torch.randn(1, 9, 128, 128, generator=torch.Generator().manual_seed(0))
    assert flicker(noise, torch.zeros_like(noise)) == pytest.approx(2 * 0.05 / math.sqrt(math.pi), rel=0.01)


def test_one_frame_has_none_and_shapes_have_to_fit():
    assert math.isnan(flicker(torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)))
    with pytest.raises(ValueError, match=r"\(1, 3, 4, 4\) and target \(1, 2, 4, 4\)"):
        flicker(torch.zeros(1, 3, 4, 4), torch.zeros(1, 2, 4, 4))
    with pytest.raises(ValueError, match="must be"):
        flicker(torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4))
