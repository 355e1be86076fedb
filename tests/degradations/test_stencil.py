"""A patch that was cut with the border is the same region of the whole image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from custom.degradations import (
    AreaMean,
    BicubicGaussian,
    Degradation,
    GaussianBlur,
    GaussianDecimation,
    Grid,
    KSpaceCrop,
)
from custom.degradations.stencil import Stencil, StencilDegradation

Factory = Callable[[tuple[int, ...]], Degradation]


@settings(max_examples=15)
@given(data=st.data())
def test_patch_with_border_equals_whole_image(
    image_domain_factory: Factory, scales: st.SearchStrategy[tuple[int, ...]], data: st.DataObject
) -> None:
    degradation = image_domain_factory(data.draw(scales))
    border, scale = degradation.border, degradation.scale_factor
    assert border is not None
    size = [2 * data.draw(st.integers(1, 2)) + b // s for b, s in zip(border, scale, strict=True)]  # LR voxels
    start = [data.draw(st.integers(0, 2)) for _ in scale]
    shape = [s * (n + a + 1) + b for n, a, b, s in zip(size, start, border, scale, strict=True)]
    whole = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 1, *shape)))
    inside = whole
    wanted = degradation(whole)
    for axis, (n, a, b, s) in enumerate(zip(size, start, border, scale, strict=True), start=2):
        inside = inside.narrow(axis, s * a, s * n + b)
        wanted = wanted.narrow(axis, a + b // s, n - b // s)
    patch = degradation(inside)
    for axis, (n, b, s) in enumerate(zip(size, border, scale, strict=True), start=2):
        patch = patch.narrow(axis, b // s, n - b // s)
    assert patch.numel() > 0
    torch.testing.assert_close(patch, wanted, rtol=0, atol=1e-13)


def test_the_border_is_no_larger_than_needed_rounded_up_to_the_scale() -> None:
    for degradation in (BicubicGaussian(4, 2), GaussianBlur((1.0, 2.0)), GaussianDecimation((3, 4), sigma=2.0)):
        border, scale = degradation.border, degradation.scale_factor
        assert border is not None
        assert all(b % s == 0 for b, s in zip(border, scale, strict=True))
        # Some voxel in the outermost block of the border is read.
        x = torch.zeros(1, 1, *[3 * b for b in border], dtype=torch.float64)
        x[:, :, : scale[0]] = 1.0
        assert degradation(x)[0, 0, border[0] // scale[0]].abs().max() > 0
        if border[0] > scale[0]:
            y = torch.zeros_like(x)
            y[:, :, :1] = 1.0
            assert degradation(y)[0, 0, border[0] // scale[0] + 1].abs().max() == 0


def test_a_one_sided_stencil_has_the_border_of_its_longer_side() -> None:
    weights = np.full(5, 0.2)
    forward, backward = Stencil(0, weights), Stencil(-4, weights)
    assert StencilDegradation(Grid.pixel_centre((2, 2)), (forward, backward)).border == (4, 4)


def test_borders_of_the_others() -> None:
    assert AreaMean((4, 4)).border == (0, 0)
    assert GaussianDecimation((1, 1, 4)).border == (0, 0, 4)
    assert KSpaceCrop(2, 3).border is None


def test_mirroring_beyond_the_image_gives_the_same_as_its_own_border(image_domain_factory: Factory) -> None:
    degradation = image_domain_factory((2, 3))
    border, scale = degradation.border, degradation.scale_factor
    assert border is not None
    image = np.random.default_rng(0).standard_normal((18, 18))
    padded = np.pad(image, [(b, b) for b in border], mode="symmetric")
    y = degradation(torch.from_numpy(padded)[None, None])
    for axis, (b, s) in enumerate(zip(border, scale, strict=True), start=2):
        y = y.narrow(axis, b // s, y.shape[axis] - 2 * (b // s))
    torch.testing.assert_close(y, degradation(torch.from_numpy(image)[None, None]), rtol=0, atol=1e-12)
