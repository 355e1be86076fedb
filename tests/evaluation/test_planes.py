from __future__ import annotations

import itertools

import numpy as np
import pytest

from custom.evaluation.planes import foreground_box, plane_of

# Every way in which the axes of an array can run along the patient, some of them left-handed.
ORIENTATIONS = [
    (order, signs) for order in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)
]


def affine_of(order, signs, spacing=(1.0, 2.0, 3.0), tilt=0.2):
    """Voxel axis a runs along world axis order[a], in the direction of signs[a]; a little oblique."""
    matrix = np.zeros((3, 3))
    for axis in range(3):
        matrix[order[axis], axis] = signs[axis]
    turn = np.array([[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ matrix * spacing
    affine[:3, 3] = (-31, 12, 7)
    return affine


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_planes_are_upright_whatever_the_array(order, signs):
    """Each voxel holds its own world position: it must fall to the left, downwards, as the letters say."""
    shape = (4, 5, 6)
    affine = affine_of(order, signs)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    world = grid @ affine[:3, :3].T + affine[:3, 3]
    for axis in range(3):
        plane = plane_of(np.ones(shape, bool), affine, axis)
        x, y, z = (plane.cut(world[..., i]) for i in range(3))
        name = ("sagittal", "coronal", "axial")[order[axis]]
        assert plane.name == name
        upwards, leftwards = {"axial": (y, x), "coronal": (z, x), "sagittal": (z, y)}[name]
        assert (np.diff(upwards, axis=0) < 0).all()  # rows run down: to posterior, to inferior
        assert (np.diff(leftwards, axis=1) < 0).all()  # the patient's right, or front, is at the left
        assert (plane.top, plane.left) == {"axial": ("A", "R"), "coronal": ("S", "R"), "sagittal": ("S", "A")}[name]
        step = [np.linalg.norm([np.diff(c, axis=k).flat[0] for c in (x, y, z)]) for k in (0, 1)]
        assert plane.aspect == pytest.approx(step[0] / step[1])


def turned(degrees, about):
    """Turn the patient's axes about one of them."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    first, second = (axis for axis in range(3) if axis != about)
    affine = np.eye(4)
    affine[first, first] = affine[second, second] = c
    affine[first, second], affine[second, first] = -s, s
    return affine


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("sign", [1, -1])
def test_a_plane_far_from_all_that_have_a_name_is_oblique(axis, sign):
    named = ("sagittal", "coronal", "axial")[axis]
    for about in range(3):
        names = [plane_of(np.ones((3, 4, 5), bool), turned(sign * angle, about), axis).name for angle in (22, 23, 45)]
        assert names == ([named] * 3 if about == axis else [named, "oblique", "oblique"])


def test_the_short_axis_of_a_heart_is_oblique():
    """Directions of a real scan: its normal is nearest to x, 48 degrees off."""
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0.1046, 0.7332, 0.6719], [-0.3464, 0.6602, -0.6665], [-0.9322, -0.1630, 0.3230]])
    plane = plane_of(np.ones((4, 5, 6), bool), affine, 2)
    # Up is superior and 20 degrees to anterior; the left lies between right and anterior.
    assert (plane.name, plane.top, plane.left) == ("oblique", "S", "RA")


def test_sides_between_are_those_that_voxels_run_to():
    """Each voxel holds its world position: at the left and the top it must be further to every side that is named."""
    shape = (4, 5, 6)
    signs = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    seen = set()
    for angle in (30, 150, -40, -100):
        for about in range(3):
            affine = turned(angle, about)
            world = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1) @ affine[:3, :3].T
            for axis in range(3):
                plane = plane_of(np.ones(shape, bool), affine, axis)
                seen |= {plane.left, plane.top}
                for letters, along in ((plane.left, 1), (plane.top, 0)):
                    for letter in letters:
                        x, sign = signs[letter]
                        assert (np.diff(plane.cut(world[..., x]), axis=along) * sign < 0).all()
    assert {"R", "A", "S", "RA", "RP", "AL", "AI", "SL", "SP"} <= seen


def test_without_an_affine_the_array_is_shown_as_it_is():
    array = np.arange(24).reshape(2, 3, 4)
    plane = plane_of(np.ones(array.shape, bool), None, 2)
    assert np.array_equal(plane.cut(array), array[..., 1])
    picture = plane_of(np.ones((3, 4), bool), None, None)
    assert np.array_equal(picture.cut(array[0]), array[0])
    assert (picture.name, picture.left, picture.aspect) == ("", "", 1.0)


def test_a_single_slice_with_an_affine_is_upright():
    plane = plane_of(np.ones((4, 5), bool), affine_of((0, 1, 2), (1, 1, 1), tilt=0), None)
    array = np.arange(20).reshape(4, 5)
    assert np.array_equal(plane.cut(array), array.T[::-1, ::-1])
    assert plane.aspect == 2


def test_the_plane_lies_in_the_middle_of_the_foreground():
    mask = np.zeros((9, 20, 7), bool)
    mask[2:5, 11:18, 1] = True
    assert [plane_of(mask, None, axis).index for axis in range(3)] == [3, 14, 1]
    assert plane_of(np.zeros_like(mask), None, 1).index == 10


def test_the_box_holds_the_foreground():
    mask = np.zeros((50, 100), bool)
    mask[10:20, 3:60] = True
    assert foreground_box(mask) == (slice(8, 22), slice(0, 64))
    assert foreground_box(np.zeros((5, 6), bool)) == (slice(0, 5), slice(0, 6))
