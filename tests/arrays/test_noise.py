from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from custom.arrays.noise import noise_level
from custom.errors import InputError

SAMPLE = Path(__file__).resolve().parents[2] / "data_manifests" / "sample" / "colin27_ch2_T1w.nii.gz"


def _grid(shape: tuple[int, ...]) -> list[NDArray[np.float64]]:
    return list(np.meshgrid(*(np.arange(n) / n for n in shape), indexing="ij"))


def _disc(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Tissue in the middle of air."""
    distance = sum((x - 0.5) ** 2 for x in _grid(shape))
    return np.asarray(distance < 0.4**2)


PHANTOMS = {
    "flat": lambda shape: np.full(shape, 0.8),
    "ramp": lambda shape: 0.4 + 0.5 * _grid(shape)[0] + 0.1 * _grid(shape)[1],
    # Waves of 20 voxels along each axis, and thirty bright dots.
    "texture": lambda shape: (
        0.7
        + 0.2 * np.prod([np.sin(2 * np.pi * n * x / 20) for n, x in zip(shape, _grid(shape), strict=True)], axis=0)
        + 0.3 * (np.random.default_rng(7).random(shape) < 30 / np.prod(shape))
    ),
}


@pytest.fixture(scope="module")
def head() -> NDArray[np.float64]:
    """A real scan with voxels of 1 mm and almost no noise, the brightest tissue about 1."""
    scan = np.asarray(nib.load(SAMPLE).dataobj, np.float64)
    return np.asarray(scan / np.percentile(scan, 99.9))


def _rician(image: NDArray[np.float64], sd: float) -> torch.Tensor:
    generator = np.random.default_rng(1)
    real, imaginary = (sd * generator.standard_normal(image.shape) for _ in range(2))
    return torch.from_numpy(np.hypot(image + real, imaginary))


@pytest.mark.parametrize("shape", [(128, 120), (40, 36, 30)])
@pytest.mark.parametrize("sd", [0.01, 0.03, 0.05])
@pytest.mark.parametrize("name", PHANTOMS)
def test_noise_in_tissue_that_lies_in_noisy_air(name: str, sd: float, shape: tuple[int, ...]) -> None:
    image = np.where(_disc(shape), PHANTOMS[name](shape), 0.0)
    for unit in (1.0, 1500.0):
        assert noise_level(unit * _rician(image, sd)) == pytest.approx(unit * sd, rel=0.06)


@pytest.mark.parametrize("sd", [0.01, 0.03, 0.05])
@pytest.mark.parametrize("slice_number", [60, 100])
def test_noise_of_a_coarse_slice_is_found_in_its_air(head: NDArray[np.float64], slice_number: int, sd: float) -> None:
    fine = head[..., slice_number]
    rows, columns = (4 * (n // 4) for n in fine.shape)
    coarse = fine[:rows, :columns].reshape(rows // 4, 4, columns // 4, 4).mean(axis=(1, 3))
    assert noise_level(_rician(fine, sd)) == pytest.approx(sd, rel=0.05)
    assert noise_level(_rician(coarse, sd)) == pytest.approx(sd, rel=0.2)
    # Without its air the detail of the tissue counts as noise.
    stripped = torch.where(torch.from_numpy(coarse) > 0.1, _rician(coarse, sd), 0.0)
    assert noise_level(stripped) > max(0.02, sd)


@pytest.mark.parametrize("name", ["flat", "ramp"])
def test_without_noise_there_is_none(name: str) -> None:
    image = np.where(_disc((64, 64)), PHANTOMS[name]((64, 64)), 0.0)
    assert noise_level(torch.from_numpy(image)) == pytest.approx(0, abs=1e-6)


def test_the_mask_of_a_picture_is_that_of_immerkaer() -> None:
    """Each voxel of a flat image that is changed by d shows in nine differences: 4 d, 2 d four times, d four times."""
    image = torch.ones(30, 30)
    image[1::3, 1::3] += 0.06
    # Each of the nine places of the mask is met as often: four of nine values are d, so the median is 2 d.
    assert noise_level(image) == pytest.approx(0.12 / (6 * 0.6745), rel=1e-3)


def test_a_single_slice_of_a_volume_is_a_picture() -> None:
    image = _rician(np.full((50, 60), 0.8), 0.03)
    assert noise_level(image[..., None]) == pytest.approx(noise_level(image), rel=1e-6)
    assert noise_level(torch.stack([image, image], -1)) == pytest.approx(noise_level(image), rel=1e-6)


@pytest.mark.parametrize("shape", [(64, 64), (20, 24, 16)])
def test_air_alone_is_told_in_words(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="no tissue stands out from the noise"):
        noise_level(_rician(np.zeros(shape), 20.0))
    with pytest.raises(InputError, match="no positive values"):
        noise_level(torch.zeros(shape))


def test_too_little_tissue_is_told_in_words() -> None:
    with pytest.raises(InputError, match="only 9 voxels lie within tissue, and 100 are needed"):
        noise_level(torch.ones(5, 5))
    with pytest.raises(InputError, match="only 0 voxels"):
        noise_level(torch.ones(300, 2))
