from __future__ import annotations

import math

import pytest
import torch

from custom.degradations import AreaMean, BicubicGaussian, GaussianBlur, KSpaceCrop
from custom.evaluation.conditions import Condition, trial_conditions


def measured(condition: Condition, images: torch.Tensor, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return condition.measure(images)


PARTIAL = Condition("partial Fourier", KSpaceCrop(4, 2, window="hamming", partial_fourier=0.75), 0.02, magnitude=True)


@pytest.mark.parametrize("condition", [*trial_conditions(BicubicGaussian(4, 2), [0.02]), PARTIAL], ids=lambda c: c.name)
def test_noise_of_air_is_that_of_a_magnitude_image(condition: Condition) -> None:
    """The magnitude of two Gaussian parts of deviation s has the mean s sqrt(pi / 2), after any filter."""
    air = measured(condition, torch.zeros(8, 1, 256, 256))
    inner = air[..., 8:-8, 8:-8]
    assert float(inner.mean()) == pytest.approx(0.02 * math.sqrt(math.pi / 2), rel=0.03)


def test_without_noise_it_is_the_degradation_and_a_smooth_phase_hardly_changes_the_magnitude() -> None:
    image = torch.ones(2, 1, 64, 64) * torch.hann_window(64)
    plain = Condition("plain", AreaMean(4, 2))
    assert torch.equal(measured(plain, image), AreaMean(4, 2)(image))
    crop = KSpaceCrop(4, 2)
    scanner = measured(Condition("scanner", crop, magnitude=True), image)
    assert not torch.equal(scanner, crop(image))
    assert float((scanner - crop(image))[..., 2:-2, 2:-2].abs().max()) < 0.05
    assert torch.equal(scanner, measured(Condition("scanner", crop, magnitude=True), image))
    assert not torch.equal(scanner, measured(Condition("scanner", crop, magnitude=True), image, seed=1))


def test_each_kind_comes_with_each_noise_on_the_grid_of_the_bundle() -> None:
    published = AreaMean(4, 2)
    found = trial_conditions(published, [0.0, 0.01])
    assert [(c.name, c.noise) for c in found[:3]] == [("published", 0.0), ("published", 0.01), ("bicubic", 0.0)]
    assert len({(c.name, c.noise) for c in found}) == len(found) == 2 * 10 + 1
    assert {c.degradation.grid for c in found} == {published.grid}
    assert {c.name for c in found if c.held_out} == {"k-space crop, Tukey, zero-filled", "slice profile", "bicubic"}
    corner = KSpaceCrop(4, 2, pixel_centre_grid=False)
    assert [c.name for c in trial_conditions(corner, [0.0])] == ["published"]


def test_where_the_grid_is_kept_blurs_around_that_of_the_bundle_are_tried_and_the_scan_as_it_is() -> None:
    found = trial_conditions(GaussianBlur(5.0, 3), [0.0, 0.01])
    assert [(c.name, c.noise) for c in found[:2]] == [("published", 0.0), ("published", 0.01)]
    assert all(c.degradation.grid == found[0].degradation.grid for c in found)
    image = torch.rand(1, 1, 12, 12, 12)
    losses = {c.name: float((measured(c, image) - image).square().mean()) for c in found if not c.noise}
    assert losses["as it is"] == 0
    assert 0 < losses["Gaussian, a fifth as wide"] < losses["Gaussian, half as wide"] < losses["published"]
    assert {c.name for c in found if c.held_out} == {"k-space, a third, Tukey", "Gaussian, two axes"}
