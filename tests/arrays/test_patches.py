from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import DataLoader

from custom.arrays.patches import PatchSampler, RandomPatches
from custom.degradations import AreaMean, BicubicGaussian, Degradation, GaussianDecimation, KSpaceCrop
from custom.engines import PatchPairs
from custom.errors import InputError, UsageError


def _volume(*shape: int) -> Tensor:
    """A volume without air, of which every voxel is different."""
    return 0.5 + torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))


def _patches(volume: Tensor, patch_size: list[int], degradation: Degradation, **options: Any) -> RandomPatches:
    return RandomPatches([{"label": volume}], dict, patch_size, degradation.scale_factor, degradation.border, **options)


@pytest.mark.parametrize("slice_axis", [0, 1, -1])
def test_patches_are_parts_of_slices(slice_axis: int) -> None:
    volume = torch.ones(1, 20, 24, 28) + torch.arange(28.0)
    patches = _patches(volume, [8, 12], AreaMean(4, spatial_dims=2), slice_axis=slice_axis)
    patch = patches[3]["label"]
    assert patch.shape == (1, 8, 12)
    if slice_axis == -1:
        assert patch.std() == 0
    else:
        steps = patch[0, 0].diff()
        assert torch.allclose(steps.abs(), steps.abs()[0].expand(11))


def test_a_patch_depends_on_seed_and_index_alone() -> None:
    options = {"patches_per_epoch": 6}
    one = _patches(_volume(16, 16, 8), [8, 8], AreaMean(4, spatial_dims=2), **options)
    two = _patches(_volume(16, 16, 8), [8, 8], AreaMean(4, spatial_dims=2), **options)
    [one[i] for i in range(5)]
    assert torch.equal(one[9]["label"], two[9]["label"])
    assert not torch.equal(one[9]["label"], one[3]["label"])
    other = _patches(_volume(16, 16, 8), [8, 8], AreaMean(4, spatial_dims=2), seed=1, **options)
    assert not torch.equal(one[9]["label"], other[9]["label"])


def test_epochs_differ_and_a_resumed_epoch_is_the_same() -> None:
    patches = _patches(_volume(16, 16, 8), [8, 8], AreaMean(4, spatial_dims=2), patches_per_epoch=4)
    sampler = PatchSampler(patches, 2)
    loader = DataLoader(patches, sampler=sampler, batch_size=2)
    epochs = []
    for epoch in (1, 2, 2):
        sampler.set_epoch(epoch)
        epochs.append(torch.cat([batch["label"] for batch in loader]))
    assert len(epochs[0]) == 4
    assert not torch.equal(epochs[0], epochs[1])
    assert torch.equal(epochs[1], epochs[2])


def test_patches_lie_in_the_foreground() -> None:
    volume = torch.zeros(1, 64, 64, 4)
    volume[:, 40:, 40:, 2] = 1.0
    patches = _patches(volume, [8, 8], AreaMean(4, spatial_dims=2))
    shares = [(patches[i]["label"] > 0.5).float().mean().item() for i in range(50)]
    assert min(shares) > 0.05
    assert np.mean(shares) > 0.5


def test_context_slices_are_neighbours_in_either_order() -> None:
    volume = (torch.ones(1, 8, 8, 9) + torch.arange(9.0)).contiguous()
    patches = _patches(volume, [8, 8], AreaMean(4, spatial_dims=2), context_slices=3)
    orders = set()
    for i in range(60):
        levels = patches[i]["label"][:, 0, 0]
        ratio = levels / levels[1]
        orders.add(torch.sign(ratio[2] - ratio[0]).item())
        steps = (levels.diff() / levels[1]).abs()
        # Inside the volume both steps are equal; at its ends the last slice is repeated.
        assert torch.isclose(steps[0], steps[1]) or steps.min() == 0
    assert {-1.0, 1.0} <= orders


DEGRADATIONS_2D = [
    AreaMean(4, spatial_dims=2),
    BicubicGaussian(2, spatial_dims=2),
    GaussianDecimation((2, 4)),
]


@given(st.sampled_from(DEGRADATIONS_2D), st.integers(0, 10**6))
def test_pairs_of_patches_are_regions_of_the_degraded_patch_with_all_its_surroundings(
    degradation: Degradation, index: int
) -> None:
    image = _volume(48, 56)
    assert degradation.border is not None
    patches = _patches(image, [16, 16], degradation)
    batch = {"label": patches[index]["label"][None]}
    lr, hr = PatchPairs(degradation)(batch, torch.device("cpu"))
    assert lr.shape[2:] == tuple(16 // s for s in degradation.scale_factor)
    assert hr.shape[2:] == (16, 16)
    # Oracle: the same patch with twice the surroundings, which cannot matter.
    centre = batch["label"]
    direct = degradation(centre)
    window = tuple(
        slice(b // s, n - b // s)
        for b, s, n in zip(degradation.border, degradation.scale_factor, direct.shape[2:], strict=True)
    )
    torch.testing.assert_close(lr, direct[(..., *window)])


@pytest.mark.parametrize("degradation", DEGRADATIONS_2D, ids=lambda d: type(d).__name__)
def test_pair_at_the_corner_of_the_image_equals_the_degraded_image(degradation: Degradation) -> None:
    image = _volume(16, 16)
    patches = _patches(image, [16, 16], degradation)
    whole = degradation(image[None])
    for index in range(8):
        lr, hr = PatchPairs(degradation)({"label": patches[index]["label"][None]}, torch.device("cpu"))
        flips = [
            f for f in ([], [2], [3], [2, 3]) if torch.allclose(hr / hr.mean(), (image[None] / image.mean()).flip(f))
        ]
        assert len(flips) == 1
        if not flips[0] or degradation.grid.offset == tuple((s - 1) / 2 for s in degradation.scale_factor):
            torch.testing.assert_close(lr / hr.mean(), (whole / image.mean()).flip(flips[0]))


def test_small_images_are_padded_to_a_patch() -> None:
    patches = _patches(_volume(5, 30), [16, 16], AreaMean(4, spatial_dims=2))
    assert patches[0]["label"].shape == (1, 16, 16)


def test_volumes_for_3d_networks() -> None:
    degradation = GaussianDecimation(2, spatial_dims=3)
    patches = _patches(_volume(20, 21, 22), [8, 8, 8], degradation)
    lr, hr = PatchPairs(degradation)({"label": patches[0]["label"][None]}, torch.device("cpu"))
    assert (lr.shape, hr.shape) == ((1, 1, 4, 4, 4), (1, 1, 8, 8, 8))


def test_rotations_change_the_places_of_the_axes() -> None:
    line = torch.zeros(1, 8, 8, 8)
    line[0, :, 4, 4] = 1.0

    def axes(rotations: bool) -> set[int]:
        """Along which axes the lines of 20 patches lie: there nothing changes."""
        patches = RandomPatches(
            [{}], lambda _: {"label": line + 0.5}, [8, 8, 8], (1, 1, 1), (0, 0, 0), rotations=rotations
        )
        drawn = [patches[number]["label"][0] for number in range(20)]
        return {int(torch.stack([patch.std(axis).max() for axis in range(3)]).argmin()) for patch in drawn}

    assert axes(False) == {0}
    assert axes(True) == {0, 1, 2}
    with pytest.raises(UsageError, match="rotations"):
        RandomPatches([{}], lambda _: {"label": line}, [8, 8, 4], (1, 1, 1), (0, 0, 0), rotations=True)


def test_a_degradation_of_the_whole_image_needs_a_patch_that_covers_it() -> None:
    degradation = KSpaceCrop(2, spatial_dims=2)
    with pytest.raises(UsageError, match="covers it"):
        _patches(_volume(16, 16), [8, 8], degradation)
    lr, _ = PatchPairs(degradation)(
        {"label": _patches(_volume(16, 16), [16, 16], degradation)[0]["label"][None]}, torch.device("cpu")
    )
    assert lr.shape == (1, 1, 8, 8)


@pytest.mark.parametrize("patch_size", [[10, 8], [8], [8, 8, 8], [0, 8]])
def test_patch_sizes_that_do_not_fit_are_refused(patch_size: list[int]) -> None:
    with pytest.raises(UsageError, match="patch_size"):
        _patches(_volume(16, 16), patch_size, AreaMean(4, spatial_dims=2))


def test_air_alone_is_refused() -> None:
    with pytest.raises(InputError, match="foreground"):
        _patches(torch.zeros(1, 16, 16), [8, 8], AreaMean(4, spatial_dims=2))


def test_all_unreadable_scans_are_named_at_once(tmp_path: Path) -> None:
    def load(item: dict[str, str]) -> dict[str, Tensor]:
        if "bad" in item["label"]:
            raise InputError(f"{item['label']}: truncated")
        return {"label": torch.ones(1, 8, 8)}

    items = [{"label": "bad1.nii"}, {"label": "good.nii"}, {"label": "bad2.nii"}]
    with pytest.raises(InputError, match=r"2 of 3 .*\n.*bad1.nii: truncated\n.*bad2.nii: truncated"):
        RandomPatches(items, load, [8, 8], (4, 4), (0, 0))


@pytest.mark.parametrize("slice_axis", [0, -1])
def test_patches_come_from_the_slices_of_all_frames_and_never_cross_them(slice_axis: int) -> None:
    # Voxels say where they come from: 100 * frame + slice, times a brightness of 0.9 to 1.1.
    shape = (3, 8, 8, 8)
    levels = 100.0 * torch.arange(1.0, 4.0)[:, None] + torch.arange(8.0)
    scan = levels[:, :, None, None].movedim(1, range(1, 4)[slice_axis]).expand(shape).contiguous()
    patches = _patches(scan, [8, 8], AreaMean(4, spatial_dims=2), slice_axis=slice_axis, context_slices=3)
    frames, steps = set(), set()
    for i in range(120):
        patch = patches[i]["label"]
        assert patch.shape == (3, 8, 8)
        low, middle, high = sorted(patch[:, 0, 0].tolist())
        assert torch.equal(patch, patch[:, :1, :1].expand(3, 8, 8))
        # A step within a frame is 1 in 100 or less, one across frames a quarter at least.
        steps.add(round((high - middle) / middle, 3) > 0.02 or round((middle - low) / middle, 3) > 0.02)
        factor = next(f for f in (100.0, 200.0, 300.0) if 0.9 * f - 1 <= middle <= 1.1 * (f + 7) + 1)
        frames.add(factor)
    assert frames == {100.0, 200.0, 300.0}
    assert steps == {False}


def test_frames_of_pictures_and_of_volumes_for_3d_networks() -> None:
    pictures = torch.ones(3, 16, 16) * torch.tensor([1.0, 2.0, 4.0])[:, None, None]
    patches = _patches(pictures, [8, 8], AreaMean(4, spatial_dims=2), context_slices=3)
    seen = [patches[i]["label"] for i in range(40)]
    # A picture is its own context.
    assert all(patch.unique().numel() == 1 for patch in seen)
    assert {round(np.log2(patch.mean().item() / 0.95)) for patch in seen} == {0, 1, 2}
    volumes = torch.ones(2, 9, 10, 11) * torch.tensor([1.0, 4.0])[:, None, None, None]
    patches = _patches(volumes, [8, 8, 8], GaussianDecimation(2, spatial_dims=3))
    assert {patches[i]["label"].mean().item() > 2 for i in range(20)} == {True, False}


def test_one_frame_gives_the_patches_that_it_always_gave() -> None:
    # Oracle: the published recipe, drawn by hand. A changed order of random numbers would change every training.
    volume = _volume(16, 16, 8)
    patches = _patches(volume, [8, 8], AreaMean(4, spatial_dims=2), context_slices=3)
    expected = []
    for index in range(4):
        random = np.random.default_rng([0, index])
        number, *corner = patches._candidates[0][int(random.integers(len(patches._candidates[0])))]
        starts = [min(c + int(random.integers(4)), 8) for c in corner]
        slices = [volume[0, starts[0] : starts[0] + 8, starts[1] : starts[1] + 8, n] for n in range(8)]
        patch = torch.stack([slices[min(max(number + k, 0), 7)] for k in (-1, 0, 1)])
        flips = [axis for axis in range(3) if random.random() < 0.5]
        expected.append(torch.flip(patch, flips) * (1 + random.uniform(-0.1, 0.1)))
    torch.testing.assert_close([patches[i]["label"] for i in range(4)], expected)
