from __future__ import annotations

import math

import pytest
import torch

from custom.degradations import AreaMean, GaussianBlur, KSpaceCrop, SliceBySlice
from custom.evaluation.phantoms import phantom_figures, phantoms, shift_error

OF_SLICES = SliceBySlice(AreaMean(4, 2))


def test_phantoms_are_what_their_names_say() -> None:
    torch.manual_seed(0)
    found = phantoms(OF_SLICES)
    assert {tuple(image.shape) for image in found.values()} == {(1, 1, 64, 64, 5)}
    assert float(found["flat"].std()) == 0
    for percent in (1, 3, 5):
        noisy = found[f"flat, {percent} % noise"]
        assert float(noisy.std()) == pytest.approx(10 * percent, rel=0.03)
        # The mean of a magnitude lies above the signal by half of the variance over it.
        assert float(noisy.mean()) == pytest.approx(1000 + (10 * percent) ** 2 / 2000, abs=1)
    assert found["edge"][0, 0, 30:34, 0, 0].tolist() == [0, 0, 1000, 1000]
    assert found["edge"].unique().tolist() == [0, 1000]
    assert found["ramp"][0, 0, :, 3, 1].tolist() == pytest.approx(torch.linspace(0, 1000, 64).tolist())


@pytest.mark.parametrize("degradation", [OF_SLICES, KSpaceCrop((2, 1, 2), pixel_centre_grid=False)], ids=str)
def test_figures_of_the_cubic_interpolation_are_those_of_its_kernel(degradation) -> None:
    """It restores flat images and ramps; beside a step it overshoots by the outer weights of the kernel."""
    made = phantoms(degradation)
    figures = {
        name: phantom_figures(name, degradation.upsample(made[name], "cubic"), degradation)
        for name in ("flat", "edge", "ramp")
    }
    assert figures["flat"]["mean"] == pytest.approx(1000)
    assert figures["flat"]["sd"] == pytest.approx(0, abs=1e-3)
    assert figures["ramp"]["ramp_error_percent"] == pytest.approx(0, abs=1e-4)
    scale = degradation.scale_factor[0]
    places = (torch.arange(scale) - degradation.grid.offset[0]) / scale % 1
    outer = torch.maximum(0.5 * places * (1 - places) ** 2, 0.5 * places**2 * (1 - places))
    assert figures["edge"]["overshoot_percent"] == pytest.approx(100 * float(outer.max()), abs=0.01)


def test_where_the_grid_is_kept_they_are_volumes_that_are_sharpened_along_all_axes() -> None:
    blur = GaussianBlur(1.0, 3)
    made = phantoms(blur)
    assert made["edge"].shape == (1, 1, 64, 64, 64)
    assert phantom_figures("edge", blur(made["edge"]), blur)["overshoot_percent"] == pytest.approx(0, abs=1e-3)
    assert phantom_figures("ramp", made["ramp"], blur)["ramp_error_percent"] == pytest.approx(0, abs=1e-4)


def test_figures_find_what_is_wrong() -> None:
    edge = phantoms(OF_SLICES)["edge"].repeat_interleave(4, 2).repeat_interleave(4, 3)
    edge[0, 0, 100, 100, 2] = -80
    edge[0, 0, 200, 100, 2] = 1130
    found = phantom_figures("edge", edge, OF_SLICES)
    assert found["overshoot_percent"] == pytest.approx(13)
    assert (found["lowest"], found["highest"]) == (-80, 1130)
    wave = 1000 + 10 * math.sqrt(2) * torch.sin(torch.arange(256) * math.pi / 8)[:, None, None].expand(1, 1, -1, 256, 5)
    assert phantom_figures("flat", wave, OF_SLICES)["sd"] == pytest.approx(10, rel=0.01)


def test_a_method_that_is_no_linear_one_has_a_shift_error() -> None:
    image = torch.tensor([0.0, 500.0, 1000.0]).reshape(1, 1, 1, 3)
    assert shift_error(lambda lr: 2 * lr - lr, image, image) == pytest.approx(0, abs=1e-4)
    assert shift_error(lambda lr: lr.clamp(min=0), image, image) == pytest.approx(5)
