"""Pairs of patches, by one degradation or by a family, and of whole scans."""

from __future__ import annotations

from functools import partial

import torch

from custom.arrays.intensity import intensity_scale
from custom.degradations import AreaMean, BicubicGaussian, Member, RandomFamily, SliceBySlice
from custom.engines import FamilyPairs, PatchPairs, VolumePair

CPU = torch.device("cpu")


def _cropped(image: torch.Tensor, border: int) -> torch.Tensor:
    return image[..., border:-border, border:-border]


def test_a_pair_is_the_region_of_the_degraded_image() -> None:
    strong = BicubicGaussian(4, spatial_dims=2, sigma=1.0)
    pairs = PatchPairs(strong)
    assert pairs.border == strong.border
    border = (strong.border or (0,))[0]
    hr = torch.rand(2, 1, 32 + 2 * border, 32 + 2 * border)
    lr, label = pairs({"label": hr}, CPU)
    torch.testing.assert_close(label, _cropped(hr, border))
    torch.testing.assert_close(lr, _cropped(strong(hr), border // 4))


def test_pairs_of_a_family_keep_the_middle_slice_as_target() -> None:
    still = {"noise": 0.0, "contrast": 0.0, "bias": 0.0, "sharpened": 0.0}
    family = RandomFamily(AreaMean(2, 2), {"area": Member(partial(AreaMean, 2, 2))}, [8, 8], **still)
    size = 8 + 2 * family.border[0]
    hr = torch.rand(2, 3, size, size)
    pairs = FamilyPairs(family)
    assert pairs.border == family.border
    lr, label = pairs({"label": hr}, CPU)
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
