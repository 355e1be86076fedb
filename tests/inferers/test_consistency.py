from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import pytest
import torch
from degradation_cases import DEGRADATIONS, MaskedCoils
from monai.inferers import Inferer
from torch import Tensor

from custom.arrays.noise import noise_level
from custom.degradations import AreaMean, Grid, KSpaceCrop, SliceBySlice
from custom.errors import InputError, UsageError
from custom.inferers import DataConsistency, Frames, Tiles, VolumeSlices

BLOCKS = AreaMean(4, 2)


def _invent(image: Tensor) -> Tensor:
    """Enlarge the channel in the middle by 4, with detail and an offset that are not in the image."""
    middle = image[:, image.shape[1] // 2 :][:, :1]
    enlarged = BLOCKS.upsample(middle, "cubic")
    return enlarged + 0.05 + 0.1 * torch.sin(torch.arange(enlarged.shape[-1]) * enlarged)


def _random(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", DEGRADATIONS)
@pytest.mark.parametrize("size", [(36, 40), (37, 42)])
@torch.no_grad()
def test_an_exact_result_is_degraded_to_its_input(name: str, size: tuple[int, int]) -> None:
    """Odd sizes are those of an image that the scale does not divide."""
    degradation = DEGRADATIONS[name]((4, 4))
    if name == "gaussian_blur":
        degradation = DEGRADATIONS[name]((1, 1))
    lr = _random(1, 1, *degradation.grid.shape_lr(size))
    network: Callable[[Tensor], Tensor] = lambda image: 0.5 + 0.1 * _random(*image.shape[:2], *size)  # noqa: E731
    result = DataConsistency(degradation, "exact")(lr, network)
    inverse = degradation.pseudo_inverse(size)
    missing = lr - degradation(result)
    if inverse.kept.all():
        assert missing.abs().max() < 1e-5
    # What is left is in the components that are left out: there is none of them elsewhere.
    assert inverse(missing).abs().max() < 1e-4
    # Nothing changes that the degradation does not see.
    change = result - network(lr)
    torch.testing.assert_close(inverse(degradation(change)), change, atol=1e-4, rtol=0)


def test_which_degradations_are_undone_wholly() -> None:
    whole = {name for name, make in DEGRADATIONS.items() if make((4, 4)).pseudo_inverse((36, 40)).kept.all()}
    assert {"area_mean", "bicubic", "box_profile", "sharpened", "gaussian_decimation", "bilinear"} <= whole
    assert not whole & {"bicubic_gaussian_lr", "kspace_crop_windowed"}


@pytest.mark.parametrize("slice_axis", [0, 2])
@pytest.mark.parametrize("frames", [1, 3])
@torch.no_grad()
def test_each_slice_of_each_frame_agrees_also_with_tiles_and_context(slice_axis: int, frames: int) -> None:
    chain: Inferer = Frames(
        inferer=VolumeSlices(
            slice_axis, context_slices=3, pixels=64, inferer=Tiles(tile_size=3, halo=1, scale_factor=4)
        )
    )
    scan = _random(1, frames, 5, 7, 6)
    before = scan.clone()
    degradation = SliceBySlice(BLOCKS, slice_axis)
    plain = DataConsistency(degradation, "off", inferer=chain)(scan, _invent)
    torch.testing.assert_close(plain, chain(scan, _invent), atol=0, rtol=0)
    result = DataConsistency(degradation, "exact", inferer=chain)(scan, _invent)
    assert (degradation(plain) - scan).abs().max() > 0.01
    torch.testing.assert_close(degradation(result), scan, atol=1e-5, rtol=1e-5)
    # The pseudo-inverse of block means: the same number is added to a whole block.
    torch.testing.assert_close(result - plain, degradation.upsample(scan - degradation(plain), "nearest"))
    assert torch.equal(scan, before)


@torch.no_grad()
def test_a_regularised_result_is_the_most_probable_one() -> None:
    """By the normal equations of the whole matrix, for the noise that is estimated and the error that is given."""
    truth = 0.5 + 0.3 * torch.sin(torch.arange(56.0) / 9)[:, None] * torch.cos(torch.arange(60.0) / 8)
    degradation = KSpaceCrop(4, 2)
    lr = degradation(truth[None, None]) + 0.02 * torch.randn(1, 1, 14, 15, generator=torch.Generator().manual_seed(0))
    x = _invent(lr)
    result = DataConsistency(degradation, "regularised", expected_error=0.04)(lr, _invent)
    rows, columns = (degradation.axis_matrix(axis, n).numpy() for axis, n in enumerate((56, 60)))
    matrix = np.kron(rows, columns)
    weight = (noise_level(lr[0, 0]) / 0.04) ** 2
    assert 0.1 < weight < 0.6
    missing = lr.double().numpy().ravel() - matrix @ x.double().numpy().ravel()
    expected = x.double().numpy().ravel() + matrix.T @ np.linalg.solve(
        matrix @ matrix.T + weight * np.eye(210), missing
    )
    np.testing.assert_allclose(result.numpy().ravel(), expected, atol=2e-6)


@torch.no_grad()
def test_without_noise_a_regularised_result_is_exact() -> None:
    lr = torch.full((1, 1, 16, 16), 0.7)
    results = [DataConsistency(BLOCKS, mode)(lr, _invent) for mode in ("regularised", "exact")]
    torch.testing.assert_close(*results, atol=1e-6, rtol=0)


@torch.no_grad()
def test_noise_that_cannot_be_estimated_is_told_in_words() -> None:
    with pytest.raises(InputError, match=r"data_consistency regularised: no noise level.*give exact or off"):
        DataConsistency(BLOCKS, "regularised")(torch.randn(1, 1, 40, 40).abs(), _invent)


@torch.no_grad()
def test_a_slice_that_contradicts_its_input_stays_for_the_check_to_see() -> None:
    degradation = SliceBySlice(BLOCKS)
    scan = _random(1, 1, 5, 6, 3)
    wrong = degradation.upsample(scan, "nearest")
    wrong[..., 1] += 2
    wrong[..., 2] += 0.2
    result = DataConsistency(degradation, "exact", limit="1.5")(scan, lambda image: wrong.clone())
    torch.testing.assert_close(result[..., 1], wrong[..., 1])
    torch.testing.assert_close(degradation(result)[..., 2], scan[..., 2])


@torch.no_grad()
def test_a_network_that_gives_its_input_back_does_not_have_it_changed() -> None:
    image = _random(1, 1, 12, 12)
    before = image.clone()
    blurred = DEGRADATIONS["gaussian_blur"]((1, 1))
    assert not torch.equal(DataConsistency(blurred, "exact")(image, lambda image: image), image)
    assert torch.equal(image, before)


@torch.no_grad()
def test_components_that_stay_are_said_once_for_each_size(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    wrapper = DataConsistency(DEGRADATIONS["bicubic_gaussian_lr"]((4, 4)), "exact")
    for _ in range(2):
        wrapper(_random(1, 2, 16, 16), BLOCKS.upsample)
    (message,) = caplog.messages
    assert "of the 256 components of an image too much to be undone in a stable way" in message


def test_wrong_use_is_told_in_words() -> None:
    with pytest.raises(UsageError, match="data_consistency is 'Exact'; give one of exact, regularised, off"):
        DataConsistency(BLOCKS, "Exact")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="expected_error is 0"):
        DataConsistency(BLOCKS, expected_error=0)
    with pytest.raises(UsageError, match=r"acquisition is on .*but results are on"):
        DataConsistency(KSpaceCrop(4, 2, pixel_centre_grid=False), grid=BLOCKS.grid)
    with pytest.raises(UsageError, match="has no pseudo-inverse"):
        DataConsistency(MaskedCoils(), "exact")(_random(1, 1, 8, 8), lambda image: image)
    assert DataConsistency(BLOCKS, grid=Grid.pixel_centre((4, 4))).mode == "off"
