"""The interface alone, by a degradation that is no matrix for each axis."""

from __future__ import annotations

import pytest
import torch
from degradation_cases import MaskedCoils, noise

from custom.degradations import AreaMean, Degradation, Grid
from custom.errors import InputError


def test_three_methods_and_a_grid_make_a_degradation() -> None:
    assert Degradation.__abstractmethods__ == {"forward", "adjoint", "upsample"}
    degradation = MaskedCoils()
    assert (degradation.scale_factor, degradation.spatial_dims) == ((1, 1), 2)
    assert degradation.border is None
    assert degradation.slice_axis == -1
    x = noise(2, 1, 5, 6, dtype=torch.complex128)
    y = noise(2, 2, 5, 6, dtype=torch.complex128, seed=1)
    torch.testing.assert_close(
        torch.vdot(y.flatten(), degradation(x).flatten()), torch.vdot(degradation.adjoint(y).flatten(), x.flatten())
    )
    assert torch.equal(degradation.upsampler("cubic")(x.real), x.real)


def test_images_of_other_axes_are_refused() -> None:
    degradation = AreaMean(2, 2)
    assert degradation.grid_for(2) == Grid.pixel_centre((2, 2))
    picture = torch.zeros(1, 3, 4, 4, dtype=torch.bool)
    assert degradation.independent_images(picture) is picture
    for call in (degradation.grid_for, lambda dims: degradation.independent_images(torch.zeros((1,) * (2 + dims)))):
        with pytest.raises(InputError, match=r"AreaMean: the image has 3 spatial axes; give .*2 spatial axes"):
            call(3)
