"""A 2D degradation on the slices of volumes, held against slicing by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from degradation_cases import DEGRADATIONS, MaskedCoils, noise
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from custom.degradations import UPSAMPLING_METHODS, AreaMean, Degradation, GaussianDecimation, SliceBySlice
from custom.errors import InputError, UsageError

axes = st.integers(-3, 2)
sizes = st.tuples(*[st.integers(1, 9)] * 3)
# With a border and without, on both kinds of grid, and one that is no matrix for each axis.
NAMES = ("bicubic_gaussian_lr", "gaussian_decimation", "kspace_crop_windowed", "masked_coils")
IN_PLANE: dict[str, Callable[[tuple[int, ...]], Degradation]] = {**DEGRADATIONS, "masked_coils": MaskedCoils}


def by_hand(act: Callable[[Tensor], Tensor], volumes: Tensor, axis: int) -> Tensor:
    """Treat the slices of (B, C, i, j, k) one after the other."""
    return torch.stack([act(part) for part in volumes.unbind(range(2, 5)[axis])], range(2, 5)[axis])


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=10)
@given(axis=axes, shape=sizes, scale=st.tuples(*[st.integers(1, 4)] * 2))
def test_each_slice_is_treated_by_itself(name: str, axis: int, shape: tuple[int, ...], scale: tuple[int, ...]) -> None:
    in_plane = IN_PLANE[name](scale)
    degradation = SliceBySlice(in_plane, axis)
    flat = [n for a, n in enumerate(shape) if a != axis % 3]
    hr = noise(2, 1, *shape)
    lr = degradation(hr)
    torch.testing.assert_close(lr, by_hand(in_plane, hr, axis))
    assert tuple(lr.shape[2:]) == degradation.grid.shape_lr(shape)
    adjoint = degradation.adjoint(lr, size=shape)
    torch.testing.assert_close(adjoint, by_hand(lambda s: in_plane.adjoint(s, size=flat), lr, axis))
    for method in UPSAMPLING_METHODS:
        up = degradation.upsample(lr, method, size=shape)
        torch.testing.assert_close(up, by_hand(lambda s, m=method: in_plane.upsample(s, m, size=flat), lr, axis))
    torch.testing.assert_close(degradation.upsample(lr), by_hand(in_plane.upsample, lr, axis))
    # A picture is one slice.
    picture = hr.select(range(2, 5)[axis], 0)
    assert torch.equal(degradation(picture), in_plane(picture))
    low = in_plane(picture)
    assert torch.equal(degradation.adjoint(low, size=flat), in_plane.adjoint(low, size=flat))
    assert torch.equal(degradation.upsample(low, "linear", size=flat), in_plane.upsample(low, "linear", size=flat))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=5)
@given(axis=axes, shape=sizes, scale=st.tuples(*[st.integers(1, 4)] * 2))
def test_the_adjoint_passes_the_dot_product_test(
    name: str, axis: int, shape: tuple[int, ...], scale: tuple[int, ...]
) -> None:
    degradation = SliceBySlice(IN_PLANE[name](scale), axis)
    x = noise(2, 1, *shape, dtype=torch.complex128, seed=1)
    forward = degradation(x)
    y = noise(*forward.shape, dtype=torch.complex128, seed=2)
    back = degradation.adjoint(y, size=shape)
    assert back.shape == x.shape
    torch.testing.assert_close(torch.vdot(y.flatten(), forward.flatten()), torch.vdot(back.flatten(), x.flatten()))


@pytest.mark.parametrize(
    ("axis", "scale", "offset"),
    [(0, (1, 4, 3), (0, 1.5, 1)), (1, (4, 1, 3), (1.5, 0, 1)), (-1, (4, 3, 1), (1.5, 1, 0))],
)
def test_the_slice_axis_stays_where_it_is_in_grid_and_affine(
    axis: int, scale: tuple[int, ...], offset: tuple[float, ...]
) -> None:
    in_plane = AreaMean((4, 3))
    degradation = SliceBySlice(in_plane, axis)
    assert (degradation.scale_factor, degradation.spatial_dims) == (scale, 3)
    assert degradation.border == (0, 0, 0)
    affine = np.array([[0.0, -0.7, 0.0, 5.0], [0.6, 0.0, 0.8, -7.0], [-0.8, 0.0, 0.6, 11.0], [0.0, 0.0, 0.0, 1.0]])
    expected = affine @ np.block([[np.diag(scale), np.array(offset)[:, None]], [0, 0, 0, 1.0]])
    np.testing.assert_allclose(degradation.grid.affine_lr(affine), expected)
    # A ramp along each axis: voxels hold the coordinate of their centre before degrading, and after.
    for across in range(3):
        ramp = torch.arange(12.0).reshape([12 if a == across else 1 for a in range(3)]).expand(12, 12, 12)
        low = degradation(ramp[None, None])[0, 0]
        centres = scale[across] * torch.arange(float(low.shape[across])) + offset[across]
        centres = centres.reshape([-1 if a == across else 1 for a in range(3)])
        torch.testing.assert_close(low, centres.expand_as(low))
    assert degradation.grid_for(2) == in_plane.grid
    assert degradation.grid_for(3) == degradation.grid


def test_the_border_has_none_along_the_slice_axis() -> None:
    assert SliceBySlice(GaussianDecimation((2, 3), sigma=1.0), 1).border == (4, 0, 6)
    assert SliceBySlice(MaskedCoils(), 1).border is None


@given(axis=axes, shape=st.tuples(*[st.integers(1, 4)] * 3))
def test_flipped_volumes_give_flipped_results(axis: int, shape: tuple[int, ...]) -> None:
    degradation = SliceBySlice(AreaMean((2, 3)), axis)
    x = noise(1, 2, *degradation.grid.shape_hr(shape))
    for flip in (2, 3, 4):
        torch.testing.assert_close(degradation(x.flip(flip)), degradation(x).flip(flip))


def test_independent_images_are_the_slices_and_those_of_a_3d_degradation_the_volumes() -> None:
    volumes = noise(2, 3, 4, 5, 6) > 0
    slices = SliceBySlice(AreaMean((2, 2)), 1).independent_images(volumes)
    assert torch.equal(slices, torch.cat([volume.movedim(2, 0) for volume in volumes]))
    assert AreaMean((2, 2, 2)).independent_images(volumes) is volumes
    pictures = volumes[..., 0]
    assert SliceBySlice(AreaMean((2, 2)), 1).independent_images(pictures) is pictures
    with pytest.raises(InputError, match=r"3 spatial axes.*2 spatial axes.*SliceBySlice"):
        AreaMean((2, 2)).independent_images(volumes)


def test_wrong_use_is_refused_with_the_value_received() -> None:
    degradation = SliceBySlice(AreaMean((2, 2)))
    with pytest.raises(UsageError, match="slice_axis: 5"):
        SliceBySlice(AreaMean((2, 2)), 5)
    with pytest.raises(UsageError, match="3 axes takes no slice_axis"):
        SliceBySlice(AreaMean((2, 2, 2)))
    with pytest.raises(InputError, match="1 spatial axes"):
        degradation(torch.ones(1, 1, 4))
    with pytest.raises(ValueError, match=r"size=\(8, 8, 3\).*7 to 8, 7 to 8, 2 to 2"):
        degradation.adjoint(torch.ones(1, 1, 4, 4, 2), size=(8, 8, 3))
    with pytest.raises(UsageError, match="lanczos"):
        degradation.upsample(torch.ones(1, 1, 4, 4, 2), "lanczos")
    assert "slice_axis=2" in repr(degradation)
