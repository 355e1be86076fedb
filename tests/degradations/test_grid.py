from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from custom.degradations import AreaMean, GaussianDecimation, Grid, KSpaceCrop
from custom.errors import UsageError

numbers = st.floats(-1.0, 1.0, width=32)


@st.composite
def affines(draw: st.DrawFn) -> NDArray[np.float64]:
    """Oblique, anisotropic, permuted, left- and right-handed, with an origin."""
    rotation = Rotation.from_rotvec(3.0 * np.array([draw(numbers) for _ in range(3)])).as_matrix()
    order = draw(st.permutations(range(3)))
    spacing = [draw(st.floats(0.3, 6.0)) * draw(st.sampled_from([-1.0, 1.0])) for _ in range(3)]
    affine = np.eye(4)
    affine[:3, :3] = rotation[:, order] @ np.diag(spacing)
    affine[:3, 3] = [200.0 * draw(numbers) for _ in range(3)]
    return affine


@st.composite
def grids(draw: st.DrawFn, dims: int | None = None) -> Grid:
    count = dims or draw(st.sampled_from([2, 3]))
    scale = tuple(draw(st.integers(1, 6)) for _ in range(count))
    if draw(st.booleans()):
        return Grid.pixel_centre(scale)
    return Grid(scale, tuple(draw(st.sampled_from([0.0, -0.5, 1.25])) for _ in scale))


def world(affine: NDArray[np.float64], index: NDArray[np.float64]) -> NDArray[np.float64]:
    return affine[:3, :3] @ index + affine[:3, 3]


@given(grids(), affines())
def test_affines_return_after_a_round_trip(grid: Grid, affine: NDArray[np.float64]) -> None:
    np.testing.assert_allclose(grid.affine_hr(grid.affine_lr(affine)), affine, atol=1e-10)
    np.testing.assert_allclose(grid.affine_lr(grid.affine_hr(affine)), affine, atol=1e-10)


@given(grids(), affines(), st.tuples(*[st.integers(-3, 30)] * 3))
def test_low_resolution_voxels_lie_where_the_grid_says(
    grid: Grid, affine: NDArray[np.float64], index: tuple[int, int, int]
) -> None:
    i = np.array(index, dtype=float)
    x = i.copy()
    for axis in range(grid.spatial_dims):  # the third axis of a 2D grid stays
        x[axis] = grid.scale[axis] * i[axis] + grid.offset[axis]
    np.testing.assert_allclose(world(grid.affine_lr(affine), i), world(affine, x), atol=1e-9)


@given(affines(), st.tuples(*[st.integers(1, 6)] * 3), st.tuples(*[st.integers(1, 40)] * 3))
def test_fields_of_view_agree_on_pixel_centre_grids(
    affine: NDArray[np.float64], scale: tuple[int, ...], shape_lr: tuple[int, ...]
) -> None:
    grid = Grid.pixel_centre(scale)
    affine_hr, shape_hr = grid.affine_hr(affine), grid.shape_hr(shape_lr)
    for corner in itertools.product((0, 1), repeat=3):
        at_lr = np.array(corner) * shape_lr - 0.5
        at_hr = np.array(corner) * shape_hr - 0.5
        np.testing.assert_allclose(world(affine, at_lr), world(affine_hr, at_hr), atol=1e-9)


def test_affine_of_the_block_mean_is_the_known_one() -> None:
    affine_lr = np.diag([1.0, 2.0, 3.0, 1.0])
    affine_lr[:3, 3] = -5.0, 7.0, 9.0
    expected = np.diag([0.5, 1.0, 1.5, 1.0])
    expected[:3, 3] = -5.25, 6.5, 8.25
    np.testing.assert_array_equal(AreaMean(2, 3).grid.affine_hr(affine_lr), expected)


@pytest.mark.parametrize(
    ("axis", "scale"), [(0, (1, 4, 3)), (1, (4, 1, 3)), (2, (4, 3, 1)), (-1, (4, 3, 1)), (-3, (1, 4, 3))]
)
def test_slice_axis_is_inserted_untouched(axis: int, scale: tuple[int, ...]) -> None:
    grid = Grid.pixel_centre((4, 3)).with_slice_axis(axis)
    assert grid.scale == scale
    assert grid.offset == tuple({1: 0.0, 3: 1.0, 4: 1.5}[s] for s in scale)


@given(grids(dims=3), st.tuples(*[st.integers(1, 50)] * 3))
def test_shapes_are_rounded_up_and_multiplied(grid: Grid, shape: tuple[int, ...]) -> None:
    lr = grid.shape_lr(shape)
    assert lr == tuple(int(np.ceil(n / s)) for n, s in zip(shape, grid.scale, strict=True))
    assert grid.shape_lr(grid.shape_hr(lr)) == lr


def test_offsets_of_the_degradations() -> None:
    assert AreaMean((4, 3)).grid == Grid((4, 3), (1.5, 1.0))
    assert KSpaceCrop((1, 1, 4)).grid == Grid((1, 1, 4), (0.0, 0.0, 1.5))
    assert KSpaceCrop(4, 2, pixel_centre_grid=False).grid == Grid((4, 4), (0.0, 0.0))
    assert GaussianDecimation(4, 3).grid == Grid((4, 4, 4), (0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("scale", "offset"),
    [((2,), (0.0,)), ((2, 2), (0.0,)), ((0, 2), (0.0, 0.0)), ((1.5, 2), (0.0, 0.0)), ((2, 2), (0.0, float("nan")))],
)
def test_impossible_grids_are_refused(scale: tuple[int, ...], offset: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="Grid"):
        Grid(scale, offset)


def test_wrong_use_is_refused_with_the_value_received() -> None:
    grid = Grid.pixel_centre((2, 2))
    with pytest.raises(ValueError, match=r"affine of shape \(3, 3\)"):
        grid.affine_lr(np.eye(3))
    with pytest.raises(ValueError, match=r"shape \(4, 4, 4\)"):
        grid.shape_lr((4, 4, 4))
    with pytest.raises(UsageError, match="slice_axis: 3"):
        grid.with_slice_axis(3)
    with pytest.raises(UsageError, match="3 axes takes no slice_axis"):
        grid.with_slice_axis(0).with_slice_axis(0)
