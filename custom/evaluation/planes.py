"""Planes of a volume, turned as radiologists are used to see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

__all__ = ["Plane", "foreground_box", "plane_of"]

# For each world axis (x to the right, y to anterior, z to superior): the plane across it, and its positive and negative
# side.
_NAMES = ("sagittal", "coronal", "axial")
_SIDES = (("R", "L"), ("A", "P"), ("S", "I"))
# A direction further than this from every axis is oblique. Halfway between two axes it is 45 degrees from both.
_OBLIQUE_DEGREES = 22.5


@dataclass(frozen=True)
class Plane:
    """How to cut a plane out of an array and turn it upright.

    Attributes:
        axis: the array axis across the plane; None if the array is the plane.
        index: the position on that axis.
        transpose: whether to exchange the two remaining axes, so that the second one becomes the rows.
        flips: whether to reverse the rows, and the columns, after the exchange.
        aspect: the height of a pixel over its width.
        name: "axial", "coronal", "sagittal", or "oblique" if the plane is far from these; "" if not known.
        left: the patient's side at the left of the picture: "R", "L", "A", "P", "S" or "I"; "" if not known. An oblique
            direction has several letters, the nearest first, as in DICOM's PatientOrientation.
        top: the patient's side at the top, likewise.
    """

    axis: int | None
    index: int
    transpose: bool = False
    flips: tuple[bool, bool] = (False, False)
    aspect: float = 1.0
    name: str = ""
    left: str = ""
    top: str = ""

    def cut(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the plane of an array as (rows, columns), the first row at the top of the picture."""
        plane = array if self.axis is None else array.take(self.index, axis=self.axis)
        if self.transpose:
            plane = plane.T
        return plane[tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)]


def plane_of(mask: NDArray[np.bool_], affine: NDArray[np.float64] | None, axis: int | None) -> Plane:
    """Return the plane across an axis, in the middle of the extent of a mask along it.

    Args:
        mask: (i, j, k) or (i, j); an empty one gives the middle of the array.
        affine: voxel to world (RAS+, mm), 4 x 4; without it the array is shown as it is.
        axis: 0 to 2; None for a 2D array.
    """
    index = 0
    if axis is not None:
        filled = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        index = int(filled[0] + filled[-1]) // 2 if filled.size else mask.shape[axis] // 2
    if affine is None:
        return Plane(axis, index, name="" if axis is None else f"slice {index} of axis {axis}")
    orientation = nibabel.orientations.io_orientation(affine)
    if np.isnan(orientation).any():
        return Plane(axis, index)
    world, direction = orientation[:, 0].astype(int), orientation[:, 1]
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    across = 2 if axis is None else axis
    first, second = (a for a in range(3) if a != across)
    # The rows run along the higher of the two world axes: z if it is there, else y.
    rows, columns = (first, second) if world[first] > world[second] else (second, first)
    # The first row is at the top, so rows that run to superior or anterior are reversed. The patient's right or front
    # is at the left, so columns that run towards it are reversed too.
    return Plane(
        axis,
        index,
        transpose=rows != first,
        flips=(bool(direction[rows] > 0), bool(direction[columns] > 0)),
        aspect=float(spacing[rows] / spacing[columns]),
        name=_name(affine[:3, first], affine[:3, second]),
        left=_sides(affine[:3, columns] * direction[columns]),
        top=_sides(affine[:3, rows] * direction[rows]),
    )


def _name(one: NDArray[np.float64], other: NDArray[np.float64]) -> str:
    """Return the name of the plane that two directions span."""
    normal = np.cross(one / np.linalg.norm(one), other / np.linalg.norm(other))
    cosines = np.abs(normal) / np.linalg.norm(normal)
    is_oblique = cosines.max() < np.cos(np.radians(_OBLIQUE_DEGREES))
    return "oblique" if is_oblique else _NAMES[int(cosines.argmax())]


def _sides(direction: NDArray[np.float64]) -> str:
    """Return the letters of the patient's sides that a direction runs to, the nearest first, up to three."""
    cosines = direction / np.linalg.norm(direction)
    order = np.argsort(-np.abs(cosines), kind="stable")
    near = [axis for axis in order if axis == order[0] or abs(cosines[axis]) > np.sin(np.radians(_OBLIQUE_DEGREES))]
    return "".join(_SIDES[axis][int(cosines[axis] < 0)] for axis in near)


def foreground_box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the rows and columns of the bounding box of a 2D mask, with a margin of 4 % of the sides.

    An empty mask gives all rows and columns.
    """
    found = []
    for axis in (1, 0):
        filled = np.flatnonzero(mask.any(axis=axis))
        size = mask.shape[1 - axis]
        if not filled.size:
            found.append(slice(0, size))
            continue
        margin = max(2, round(0.04 * size))
        found.append(slice(max(0, int(filled[0]) - margin), min(size, int(filled[-1]) + 1 + margin)))
    return found[0], found[1]
