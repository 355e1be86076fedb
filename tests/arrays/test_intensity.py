from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from custom.arrays.intensity import foreground_mask, intensity_scale
from custom.errors import InputError


def _head(size: int = 40, radius: float = 15.0, tissue: float = 100.0, air: float = 1.0) -> np.ndarray:
    """A ball of tissue in air, with a dark hole in its middle."""
    axes = np.indices((size, size, size)) - (size - 1) / 2
    distance = np.sqrt((axes**2).sum(axis=0))
    return np.where(distance < radius, tissue, air) * np.where(distance < radius / 3, 0.0, 1.0)


def test_scale_is_the_percentile_of_the_tissue() -> None:
    image = np.zeros((50, 60))
    image[:20, :50] = np.linspace(500.0, 1000.0, 1000).reshape(20, 50)
    assert intensity_scale(image) == pytest.approx(np.percentile(np.linspace(500.0, 1000.0, 1000), 99.9))


@given(st.floats(1e-4, 1e6))
def test_scale_follows_the_unit_of_the_image(unit: float) -> None:
    image = _head(16, 6.0)
    assert intensity_scale(image * unit) == pytest.approx(intensity_scale(image) * unit, rel=1e-6)


def test_scale_does_not_depend_on_how_much_air_there_is() -> None:
    rng = np.random.default_rng(3)
    tissue = rng.uniform(500.0, 1000.0, (40, 40))
    noisy_air = rng.uniform(0.0, 30.0, (400, 40))
    assert intensity_scale(np.concatenate([tissue, noisy_air])) == pytest.approx(intensity_scale(tissue))


def test_mask_is_the_ball_with_its_hole_filled() -> None:
    image = _head()
    mask = foreground_mask(image)
    distance = np.sqrt(((np.indices(image.shape) - 19.5) ** 2).sum(axis=0))
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, distance < 15.0)
    assert (image[mask] == 0).any()  # the hole was there to be filled


@pytest.mark.parametrize("index", [(None,), (None, None), (slice(20, 21),), (None, slice(None), slice(20, 21))])
def test_axes_of_one_voxel_do_not_keep_a_hole_open(index: tuple) -> None:
    image = _head()[index]
    mask = foreground_mask(torch.from_numpy(np.ascontiguousarray(image)))
    assert mask.shape == image.shape
    distance = np.sqrt(((np.indices((40, 40, 40)) - 19.5) ** 2).sum(axis=0))
    np.testing.assert_array_equal(mask, (distance < 15.0)[index])


@pytest.mark.parametrize("image", [np.zeros((5, 5)), -np.ones((5, 5))])
def test_image_without_positive_values_has_no_scale(image: np.ndarray) -> None:
    with pytest.raises(InputError, match="no positive values"):
        intensity_scale(image)
    with pytest.raises(InputError, match="no positive values"):
        foreground_mask(torch.from_numpy(image))


def _scale_by_definition(image: np.ndarray) -> float:
    values = image.astype(np.float64)
    bright = np.percentile(values[values != 0], 99.9)
    return float(np.percentile(values[values > 0.1 * bright], 99.9))


@given(
    seed=st.integers(0, 100),
    size=st.sampled_from([1, 2, 3, 50, 5000, 200_000]),
    kind=st.sampled_from(["even", "mostly zero", "few levels", "negative too", "sorted", "bright end"]),
)
def test_scale_is_its_definition_for_every_distribution(seed: int, size: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    image = rng.random(size).astype(np.float32) + np.float32(1e-3)
    if kind == "mostly zero":
        image[rng.random(size) < 0.9999] = 0
    elif kind == "few levels":
        image = np.ceil(image * 3).astype(np.float32)
    elif kind == "negative too":
        image[: size // 3] *= -1
    elif kind == "sorted":
        image.sort()
    elif kind == "bright end":  # what a regular sample may miss
        image[1::2] *= 100
    image[-1] = 2.0
    assert intensity_scale(image) == pytest.approx(_scale_by_definition(image), rel=1e-6)


def test_scale_of_a_view_in_another_order() -> None:
    image = torch.rand(4, 30, 40, generator=torch.Generator().manual_seed(0))
    turned = intensity_scale(image.movedim(0, -1))
    assert turned == intensity_scale(image)
    assert turned == pytest.approx(_scale_by_definition(image.numpy()), rel=1e-6)


def test_a_hole_is_filled_within_its_frame():
    image = np.zeros((1, 3, 9, 9, 1), np.float32)
    image[0, :, 2:7, 2:7] = 1
    image[0, 1, 4, 4] = 0
    image[0, 2, 4, 4:] = 0  # an open bay
    mask = foreground_mask(image, spatial_dims=3)
    assert mask.shape == image.shape
    assert mask[0, 1, 4, 4, 0]
    assert not mask[0, 2, 4, 4:, 0].any()
    # One threshold for all frames: a dark frame is no foreground.
    image[0, 0] *= 0.05
    assert not foreground_mask(image, spatial_dims=3)[0, 0].any()
