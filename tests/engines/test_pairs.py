"""Pairs of patches, from degradations that take turns, and of whole scans."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from custom.arrays.intensity import intensity_scale
from custom.degradations import AreaMean, BicubicGaussian, Member, RandomFamily, SliceBySlice
from custom.engines import FamilyPairs, PatchPairs, VolumePair
from custom.errors import UsageError

CPU = torch.device("cpu")


def _blur(sigma: float) -> BicubicGaussian:
    return BicubicGaussian(4, spatial_dims=2, sigma=sigma)


def _patches(blur: BicubicGaussian, count: int = 64) -> torch.Tensor:
    height, width = (32 + 2 * b for b in blur.border or ())
    torch.manual_seed(0)
    return torch.rand(count, 1, height, width)


def _cropped(image: torch.Tensor, border: int) -> torch.Tensor:
    return image[..., border:-border, border:-border]


def test_others_take_turns_on_the_same_grid() -> None:
    strong, mild = _blur(1.0), _blur(0.0)
    hr = _patches(strong, count=2)
    pairs = PatchPairs(strong, others=[mild], share=0.25)
    border = (strong.border or (0,))[0] // 4
    expected = {name: _cropped(blur(hr), border) for name, blur in (("strong", strong), ("mild", mild))}
    drawn = []
    for _ in range(400):
        lr, label = pairs({"label": hr}, CPU)
        drawn.append(next(name for name, image in expected.items() if torch.allclose(image, lr, atol=1e-6)))
        torch.testing.assert_close(label, _cropped(hr, 4 * border))
    # Binomial: 100 of 400, standard deviation 8.7.
    assert 65 < drawn.count("mild") < 135


def test_noise_is_of_the_others_alone_and_of_all_strengths_up_to_the_given() -> None:
    strong = _blur(1.0)
    hr = _patches(strong, count=400)
    border = (strong.border or (0,))[0] // 4
    clean = _cropped(strong(hr), border)
    lr, _ = PatchPairs(strong, others=[_blur(1.0)], share=0.0, noise=0.1)({"label": hr}, CPU)
    torch.testing.assert_close(lr, clean)
    lr, _ = PatchPairs(strong, others=[_blur(1.0)], share=1.0, noise=0.1)({"label": hr}, CPU)
    deviations = (lr - clean).std(dim=(1, 2, 3))
    # Uniform in 0..0.1, each estimated from 64 pixels.
    assert deviations.mean().item() == pytest.approx(0.05, abs=0.006)
    assert deviations.min() < 0.01
    assert 0.08 < deviations.max() < 0.14


def test_without_others_no_random_number_is_drawn() -> None:
    strong = _blur(1.0)
    hr = _patches(strong, count=1)
    before = torch.get_rng_state()
    PatchPairs(strong, noise=0.1)({"label": hr}, CPU)
    assert torch.equal(before, torch.get_rng_state())


def test_others_have_to_fit() -> None:
    with pytest.raises(UsageError, match="another grid"):
        PatchPairs(_blur(1.0), others=[BicubicGaussian(2, spatial_dims=2)])
    with pytest.raises(UsageError, match="reads further"):
        PatchPairs(AreaMean(4, spatial_dims=2), others=[_blur(1.0)])
    with pytest.raises(UsageError, match="share is 2"):
        PatchPairs(_blur(1.0), share=2)
    with pytest.raises(UsageError, match="noise is -1"):
        PatchPairs(_blur(1.0), noise=-1)


def test_pairs_of_a_family_keep_the_middle_slice_as_target() -> None:
    still = {"noise": 0.0, "contrast": 0.0, "bias": 0.0, "sharpened": 0.0}
    family = RandomFamily(AreaMean(2, 2), {"area": Member(partial(AreaMean, 2, 2))}, [8, 8], **still)
    size = 8 + 2 * family.border[0]
    hr = torch.rand(2, 3, size, size)
    lr, label = FamilyPairs(family)({"label": hr}, CPU)
    assert lr.shape == (2, 3, 4, 4)
    patch = _cropped(hr, family.border[0])
    torch.testing.assert_close(label, patch[:, 1:2])
    torch.testing.assert_close(lr, AreaMean(2, 2)(patch))


def test_scans_are_scaled_by_the_low_resolution_image_alone_all_frames_by_one_number() -> None:
    hr = 500 * torch.rand(1, 3, 16, 20, 6)
    hr[:, 1] *= 0.5
    lr, scaled = VolumePair(SliceBySlice(AreaMean(4, spatial_dims=2)))({"label": hr}, CPU)
    means = hr.reshape(3, 4, 4, 5, 4, 6).mean((2, 4))[None]
    scale = intensity_scale(means)
    torch.testing.assert_close(lr, means / scale)
    torch.testing.assert_close(scaled, hr / scale)
