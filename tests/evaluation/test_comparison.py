from __future__ import annotations

import math

import pytest
import torch

from custom.arrays.intensity import foreground_mask
from custom.arrays.slices import volume_to_slices
from custom.degradations import UPSAMPLING_METHODS, AreaMean, SliceBySlice
from custom.evaluation.comparison import Prediction, compare
from custom.metrics import hfen, mae, psnr, ssim

METRICS = {"psnr": psnr, "ssim": ssim, "mae": mae, "hfen": hfen}


def head(shape=(26, 22, 5), shift=0.0):
    """An ellipsoid with waves in it, zero outside: (1, *shape)."""
    axes = torch.meshgrid(*[torch.linspace(-1, 1, n) for n in shape], indexing="ij")
    inside = sum(x**2 for x in axes) < 0.8
    waves = 0.6 + 0.2 * torch.sin(9 * axes[0] + shift) * torch.cos(7 * axes[1])
    return torch.where(inside, waves, torch.zeros(()))[None]


def beating(frames: int = 3, shape: tuple[int, ...] = (26, 22, 4), brightness: float = 1.0) -> torch.Tensor:
    """A disc with waves that grows and shrinks: (frames, *shape)."""
    axes = torch.meshgrid(*[torch.linspace(-1, 1, n) for n in shape], indexing="ij")
    radius = 0.6 + 0.3 * torch.cos(torch.arange(frames) * 2)
    inside = axes[0] ** 2 + axes[1] ** 2 < radius.reshape(-1, *[1] * len(shape))
    return brightness * inside * (0.6 + 0.2 * torch.sin(9 * axes[0]) * torch.cos(7 * axes[1]))


def half(slice_axis=-1):
    return SliceBySlice(AreaMean(2, spatial_dims=2), slice_axis)


def test_each_method_is_measured_by_slice():
    hr = head()[None]
    degradation = AreaMean(2, spatial_dims=2)
    lr = degradation(volume_to_slices(hr)).movedim(0, -1)[None]
    guess = hr + 0.05 * torch.cos(torch.arange(hr.numel()).reshape(hr.shape).float())
    found = compare("s", lr, hr, {"model": Prediction(guess, 1.5)}, half(), mask=hr > 0)
    assert [row["method"] for row in found.rows] == [*UPSAMPLING_METHODS, "model"]
    truth, inside = volume_to_slices(hr), volume_to_slices(hr > 0)
    low = volume_to_slices(lr)
    for row in found.rows:
        image = guess if row["method"] == "model" else found.images[row["method"]]
        slices = volume_to_slices(image)
        if row["method"] != "model":
            assert torch.equal(slices, degradation.upsample(low, row["method"], size=hr.shape[2:4]))
        for name, function in (("psnr", psnr), ("ssim", ssim), ("mae", mae), ("hfen", hfen)):
            assert row[name] == pytest.approx(function(slices, truth))
            assert row[f"{name}_foreground"] == pytest.approx(function(slices, truth, inside))
        assert row["consistency"] == pytest.approx(float((degradation(slices) - low).square().mean().sqrt()), abs=1e-7)
        assert row["subject"] == "s"
        assert math.isnan(row["lpips"])
    assert found.rows[-1]["seconds"] == 1.5
    assert all(row["seconds"] >= 0 for row in found.rows)
    assert torch.equal(found.images["model"], guess)


@pytest.mark.parametrize("slice_axis", [0, 1, -1])
def test_the_slice_axis_only_turns_the_volume(slice_axis):
    hr = head((24, 20, 4))[None]
    lr = half()(hr)
    straight = compare("s", lr, hr, {}, half(), mask=hr > 0)
    turned = [x.movedim(-1, range(2, 5)[slice_axis]) for x in (lr, hr, hr > 0)]
    found = compare("s", *turned[:2], {}, half(slice_axis), mask=turned[2])
    for row, other in zip(straight.rows, found.rows, strict=True):
        assert {k: v for k, v in row.items() if k != "seconds"} == pytest.approx(
            {k: v for k, v in other.items() if k != "seconds"}, nan_ok=True
        )
    assert torch.equal(found.images["cubic"].movedim(range(2, 5)[slice_axis], -1), straight.images["cubic"])


def test_images_and_volumes_of_a_3d_degradation_are_taken_whole():
    for degradation, shape in ((half(), (25, 22)), (AreaMean(2, spatial_dims=3), (21, 16, 13))):
        hr = head(shape)[None]
        found = compare("s", degradation(hr), hr, {}, degradation)
        for row in found.rows:
            assert found.images[row["method"]].shape == hr.shape
            assert row["ssim"] == pytest.approx(ssim(found.images[row["method"]], hr))


def test_a_border_is_left_out_for_all_methods():
    hr = head((30, 30, 3))[None]
    degradation = half()
    lr = degradation(hr)
    wrong_at_the_rim = hr.clone()
    wrong_at_the_rim[:, :, :3] += 1
    given = {"model": Prediction(wrong_at_the_rim)}
    row = compare("s", lr, hr, given, degradation, crop_border=3).rows[-1]
    assert row["psnr"] == pytest.approx(100)
    assert compare("s", lr, hr, given, degradation).rows[-1]["psnr"] < 20


@pytest.mark.parametrize("dims", [2, 3])
def test_figures_are_over_all_frames_and_neighbourhoods_within_one(dims):
    degradation = AreaMean(2, spatial_dims=dims)
    degradation = SliceBySlice(degradation) if dims == 2 else degradation
    hr = beating()[None]
    lr = degradation(hr)
    guess = hr + 0.05 * torch.cos(torch.arange(hr.numel()).reshape(hr.shape).float())
    inside = torch.as_tensor(foreground_mask(hr, spatial_dims=3))
    found = compare("s", lr, hr, {"model": Prediction(guess)}, degradation, mask=inside)
    # Oracle: the frames as a batch of volumes, or their slices as one of images.
    batch = [volume_to_slices(hr[:, t : t + 1]) for t in range(3)] if dims == 2 else list(hr[0, :, None, None])
    truth = torch.cat(batch)
    for row in found.rows:
        image = found.images[row["method"]]
        assert image.shape == hr.shape
        frames = [image[:, t : t + 1] for t in range(3)]
        image = torch.cat([volume_to_slices(frame) for frame in frames] if dims == 2 else frames)
        masks = [inside[:, t : t + 1] for t in range(3)]
        mask = torch.cat([volume_to_slices(m) for m in masks] if dims == 2 else masks)
        for name, function in METRICS.items():
            assert row[name] == pytest.approx(function(image, truth), rel=1e-5)
            assert row[f"{name}_foreground"] == pytest.approx(function(image, truth, mask), rel=1e-5)
    squared = (guess - hr).square().mean().item()
    assert found.rows[-1]["psnr"] == pytest.approx(-10 * math.log10(squared), rel=1e-5)


def test_one_mask_serves_all_frames():
    hr = beating()[None]
    degradation = SliceBySlice(AreaMean(2, spatial_dims=2))
    lr = degradation(hr)
    one = (hr > 0).any(1, keepdim=True)
    rows = [compare("s", lr, hr, {}, degradation, mask=m).rows[2] for m in (one, one.expand_as(hr))]
    assert {k: v for k, v in rows[0].items() if k != "seconds"} == pytest.approx(
        {k: v for k, v in rows[1].items() if k != "seconds"}, nan_ok=True
    )
