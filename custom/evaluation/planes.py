"""Planes of a volume the way a reader of scans expects them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

__all__ = ["Plane", "foreground_box", "plane_of"]

# For the world axes x, y, z (right, anterior, superior): the plane across each, and the sides that they run to.
_NAMES = ("sagittal", "coronal", "axial")
_SIDES = (("R", "L"), ("A", "P"), ("S", "I"))
# A direction that is further than this from an axis is none of its own: half of the way to the next plane.
_OBLIQUE_DEGREES = 22.5


@dataclass(frozen=True)
class Plane:
    """How to cut a plane out of an array and turn it upright.

    Attributes:
        axis: the axis across the plane, None for an array that is a plane itself.
        index: where on that axis.
        transpose: whether the second remaining axis runs downwards.
        flips: whether to turn over rows, columns (after transposing).
        aspect: height over width of a pixel.
        name: of the plane, "oblique" if it is far from all that have a name, empty if not known.
        left: the patient's side at the left, empty if not known; as in DICOM's PatientOrientation several letters,
            the nearest first, where the picture runs between them.
        top: the patient's side at the top.
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
        """Return the plane of an array, rows downwards."""
        plane = array if self.axis is None else array.take(self.index, axis=self.axis)
        if self.transpose:
            plane = plane.T
        return plane[tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)]


def plane_of(mask: NDArray[np.bool_], affine: NDArray[np.float64] | None, axis: int | None) -> Plane:
    """Choose the plane across `axis` in the middle of a mask's extent.

    Args:
        mask: 2D or 3D.
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
    # The higher of the two world axes stands upright: superior, else anterior.
    rows, columns = (first, second) if world[first] > world[second] else (second, first)
    # Rows run downwards, so an axis that runs up is turned over. At the left is the patient's right or front: columns
    # that run towards them are turned over too.
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
    """Name the plane of two directions."""
    normal = np.cross(one / np.linalg.norm(one), other / np.linalg.norm(other))
    cosines = np.abs(normal) / np.linalg.norm(normal)
    is_oblique = cosines.max() < np.cos(np.radians(_OBLIQUE_DEGREES))
    return "oblique" if is_oblique else _NAMES[int(cosines.argmax())]


def _sides(direction: NDArray[np.float64]) -> str:
    """Name the patient's sides that a direction runs to, the nearest first, up to three."""
    cosines = direction / np.linalg.norm(direction)
    order = np.argsort(-np.abs(cosines), kind="stable")
    near = [axis for axis in order if axis == order[0] or abs(cosines[axis]) > np.sin(np.radians(_OBLIQUE_DEGREES))]
    return "".join(_SIDES[axis][int(cosines[axis] < 0)] for axis in near)


def foreground_box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the rows and columns of a 2D mask's bounding box, with a margin of 4 %; all of them if it is empty."""
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
