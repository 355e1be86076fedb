from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from tiny_scans import tiny_volume

from custom.arrays.negative_values import why_signed


def _signed(array: np.ndarray) -> str:
    return why_signed(torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))[None])


VOLUME = tiny_volume(0)
RESAMPLED = {
    "rotated by a spline of order 3": ndimage.rotate(VOLUME, 10, (0, 1), order=3),
    "rotated by a spline of order 5": ndimage.rotate(VOLUME, 10, (0, 1), order=5),
    "made smaller": ndimage.zoom(VOLUME, (0.6, 0.6, 1), order=3),
    "made larger": ndimage.zoom(VOLUME, (1.7, 1.7, 1), order=3),
    "shifted down by 5 %": VOLUME - 0.05 * VOLUME.max(),
    "one voxel of -20 %": np.where(np.arange(VOLUME.size).reshape(VOLUME.shape) == 500, -0.2 * VOLUME.max(), VOLUME),
}
SIGNED = {
    "mean 0": (VOLUME - VOLUME.mean()) / VOLUME.std(),
    "mean 0 in the foreground": np.where(VOLUME > 0, VOLUME - VOLUME[VOLUME > 0].mean(), 0),
    "-1 to 1": 2 * VOLUME / VOLUME.max() - 1,
    "phase": np.random.default_rng(0).uniform(-4096, 4095, VOLUME.shape),
    "velocity": np.random.default_rng(0).normal(0, 3, VOLUME.shape),
    "negative": -VOLUME,
    "negative but for one voxel": np.where(np.arange(VOLUME.size).reshape(VOLUME.shape) == 500, 5, -VOLUME),
    "one voxel of -2000 %": np.where(np.arange(VOLUME.size).reshape(VOLUME.shape) == 500, -20 * VOLUME.max(), VOLUME),
    "air of -2000": np.where(VOLUME > 0, VOLUME, -2000),
}


@pytest.mark.parametrize("name", RESAMPLED)
def test_undershoot_and_small_offsets_are_magnitudes(name: str) -> None:
    assert RESAMPLED[name].min() < 0
    assert _signed(RESAMPLED[name]) == ""


def test_no_negative_value_is_a_magnitude() -> None:
    assert _signed(VOLUME) == ""


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e4])
def test_signed_images_are_told_in_any_unit(name: str, unit: float) -> None:
    assert "voxels are below 0, the lowest is -" in _signed(unit * SIGNED[name])


def test_what_was_found_is_said() -> None:
    image = torch.ones(1, 4, 5, 5)
    image[0, 0, :3] = -0.75
    assert why_signed(image) == "15 of 100 voxels are below 0, the lowest is -0.75 and the highest 1"


def test_one_signed_frame_of_many_is_enough() -> None:
    frames = torch.from_numpy(VOLUME).expand(200, -1, -1, -1).clone()
    frames[70, :, :, :2] *= -0.4
    assert why_signed(frames)
    assert not why_signed(frames[:70])


def test_a_spline_undershoots_a_step_by_less_than_the_limits() -> None:
    """The interpolating spline of order 3 goes 0.1078 of its height below a step, and of order 5 0.1262."""
    step = np.r_[np.zeros(32), np.ones(32)]
    for order, undershoot in ((3, 0.1078), (5, 0.1262)):
        curve = ndimage.zoom(step, 50, order=order, grid_mode=True, mode="nearest")
        assert curve.min() == pytest.approx(-undershoot, abs=1e-3)
        assert not _signed(np.tile(curve, (4, 1)))
