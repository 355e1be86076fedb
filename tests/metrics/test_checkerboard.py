from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from custom.degradations import AreaMean
from custom.metrics import checkerboard
from custom.networks import SRResNet


def noise(*shape: int, std: float = 1.0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(0, std, shape))


def lattice(scale: int, *shape: int) -> torch.Tensor:
    """A random cell, repeated; variance 1 over its pixels, mean not 0."""
    cell = np.random.default_rng(1).normal(size=(scale, scale))
    cell = 5 + (cell - cell.mean()) / cell.std()
    return torch.from_numpy(np.tile(cell, (shape[-2] // scale + 1, shape[-1] // scale + 1))[: shape[-2], : shape[-1]])


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_a_pure_lattice_has_nothing_beside_it(scale):
    picture = lattice(scale, 10 * scale + 1, 9 * scale).expand(1, 1, -1, -1)
    assert checkerboard(picture, None, scale) > 1e20


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_white_noise_has_none(scale):
    assert checkerboard(noise(8, 1, 256, 240), None, scale) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("variance", [0.02, 0.5])
def test_a_lattice_in_noise_after_the_formula(scale, variance):
    error = noise(8, 1, 256, 256, std=2) + math.sqrt(variance) * lattice(scale, 256, 256)
    expected = 1 + variance * (16 * scale / 3) ** 2 / (4 * (scale**2 - 1))
    assert checkerboard(error, None, scale) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("period", [5, 7, 16])
def test_a_lattice_of_another_period_is_none(period):
    error = noise(8, 1, 256, 240) + lattice(period, 256, 240)
    assert 0 < checkerboard(error, None, 4) < 1.6


def test_the_label_is_subtracted_and_scale_and_sign_play_no_part():
    error, label = noise(2, 1, 64, 72) + lattice(4, 64, 72), 100 * noise(2, 1, 64, 72).flip(-1)
    expected = checkerboard(error, None, 4)
    assert expected > 5
    assert checkerboard(label + error, label, 4) == pytest.approx(expected)
    assert checkerboard(label, label + 0.01 * error, 4) == pytest.approx(expected)
    assert checkerboard((0.01 * error).float(), None, 4) == pytest.approx(expected, rel=1e-4)


def test_a_lattice_that_follows_the_image_is_found():
    """Amplitude in proportion to a smooth random image of mean 0: no single frequency has all of it."""
    smooth = torch.from_numpy(gaussian_filter(noise(4, 1, 256, 256).numpy(), (0, 0, 20, 20)))
    modulated = smooth / smooth.std() * (lattice(4, 256, 256) - 5)
    assert checkerboard(noise(4, 1, 256, 256).flip(-1) + modulated, None, 4) > 10


def test_nearest_enlargement_leaves_more_than_cubic():
    label = torch.from_numpy(gaussian_filter(noise(2, 1, 128, 128).numpy(), (0, 0, 3, 3)))
    degradation = AreaMean(4, spatial_dims=2)
    low = degradation(label)
    nearest, cubic = (checkerboard(degradation.upsample(low, way), label, 4) for way in ("nearest", "cubic"))
    assert nearest > 2 * cubic


def test_icnr_starts_a_network_with_less_of_it():
    image = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    ratios = []
    for icnr in (False, True):
        torch.manual_seed(0)
        with torch.no_grad():
            ratios.append(checkerboard(SRResNet(blocks=1, features=16, icnr=icnr).eval()(image), None, 4))
    assert ratios[0] > 3 * ratios[1]


def test_edges_of_the_measure():
    error = noise(1, 1, 32, 31)
    assert math.isnan(checkerboard(error, None, 4))
    assert checkerboard(error[..., :24, :24], None, 3) > 0
    assert checkerboard(error, error, 2) == 1
    with pytest.raises(ValueError, match="give both the same"):
        checkerboard(error, error[..., :30], 4)
    with pytest.raises(ValueError, match="give both the same"):
        checkerboard(error[0], None, 4)
    with pytest.raises(ValueError, match="scale_factor is 1"):
        checkerboard(error, None, 1)
