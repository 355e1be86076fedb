from __future__ import annotations

import numpy as np
import pytest

from custom.arrays.geometry import affine_distance, field_of_view_corners, slab_bounds
from custom.errors import InputError


def test_corners_of_a_shifted_anisotropic_box() -> None:
    affine = np.diag([2.0, -3.0, 5.0, 1.0])
    affine[:3, 3] = (10.0, 20.0, 30.0)
    corners = field_of_view_corners((4, 2, 1), affine)
    assert corners.shape == (8, 3)
    np.testing.assert_allclose(corners[0], (9.0, 21.5, 27.5))
    np.testing.assert_allclose(corners[1], (9.0, 21.5, 32.5))
    np.testing.assert_allclose(corners[-1], (17.0, 15.5, 32.5))


def test_corners_of_a_picture_are_one_voxel_thick() -> None:
    np.testing.assert_allclose(
        field_of_view_corners((3, 4), np.eye(4)), field_of_view_corners((3, 4, 1), np.eye(4)), rtol=0
    )


def test_distance_of_a_half_voxel_shift() -> None:
    shifted = np.eye(4)
    shifted[1, 3] = 0.5
    assert affine_distance((5, 6, 7), np.eye(4), shifted) == pytest.approx(0.5)


def test_slabs_that_share_a_border_share_no_slice() -> None:
    for size in range(1, 40):
        first, second = slab_bounds(size * 4, 0.0, 0.35), slab_bounds(size * 4, 0.35, 1.0)
        assert first[0] == 0
        assert first[1] == second[0]
        assert second[1] == size * 4


def test_slab_without_a_slice_is_refused() -> None:
    with pytest.raises(InputError, match=r"\[0\.5, 0\.51\) of 10 slices holds none"):
        slab_bounds(10, 0.5, 0.51)
