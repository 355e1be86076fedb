"""Where the slices of a volume lie, in the elements of DICOM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from custom.errors import InputError
from custom.scans.dicom.rescale import decimal_string
from custom.scans.scan import check_affine

__all__ = ["Planes", "nearest_slices", "planes_of"]

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
# Largest cosine between rows and columns; beyond it the plane is sheared, which DICOM cannot express.
_LARGEST_SHEAR = 1e-4


@dataclass(frozen=True)
class Planes:
    """The image planes of one volume; positions are those of the centre of the first voxel, in LPS mm.

    Attributes:
        origin: position of slice 0.
        step: from one slice to the next; not along the normal where the gantry is tilted.
        row: unit vector along a row, to higher columns.
        column: unit vector along a column, to higher rows.
        spacing: mm between rows, mm between columns (PixelSpacing's order).
    """

    origin: np.ndarray
    step: np.ndarray
    row: np.ndarray
    column: np.ndarray
    spacing: tuple[float, float]

    @property
    def slice_spacing(self) -> float:
        """Distance of neighbouring slices along the normal, mm."""
        return abs(float(self.step @ np.cross(self.row, self.column)))

    @property
    def orientation(self) -> list[str]:
        """ImageOrientationPatient."""
        return [decimal_string(value) for value in (*self.row, *self.column)]

    @property
    def pixel_spacing(self) -> list[str]:
        """PixelSpacing."""
        return [decimal_string(value) for value in self.spacing]

    def position(self, k: int) -> list[str]:
        """ImagePositionPatient of slice k."""
        return [decimal_string(value) for value in self.origin + k * self.step]

    def location(self, k: int) -> str:
        """SliceLocation: signed distance of slice k from the origin of the frame of reference along the normal."""
        return decimal_string(float((self.origin + k * self.step) @ np.cross(self.row, self.column)))


def planes_of(affine: np.ndarray, path: Path) -> Planes:
    """Return the image planes of a volume with an affine.

    Args:
        affine: 4x4, voxel index (column i, row j, slice k) to RAS+ mm.
        path: the result, for the message.

    Raises:
        InputError: for an affine that is singular, or whose rows and columns are not at right angles.
    """
    check_affine(affine, path)
    matrix = _RAS_TO_LPS @ np.asarray(affine, dtype=np.float64)
    across, down, step = matrix[:3, 0], matrix[:3, 1], matrix[:3, 2]
    between_columns, between_rows = float(np.linalg.norm(across)), float(np.linalg.norm(down))
    row, column = across / between_columns, down / between_rows
    if abs(float(row @ column)) > _LARGEST_SHEAR:
        raise InputError(
            f"{path}: rows and columns of the result are not at right angles (cosine {float(row @ column):.3g}), which "
            "DICOM cannot hold; write NIfTI with --output_format nifti"
        )
    return Planes(matrix[:3, 3], step, row, column, (between_rows, between_columns))


def nearest_slices(
    affine: np.ndarray, shape: Sequence[int], source_affine: np.ndarray, source_slices: int
) -> list[int]:
    """Find, for each slice of a result, the slice of its source whose centre is nearest along the source's axis k.

    Args:
        affine: 4x4 of the result, voxel index to RAS+ mm.
        shape: sizes of the result's axes i, j, k.
        source_affine: 4x4 of the source.
        source_slices: how many slices the source has.
    """
    to_source = np.linalg.inv(np.asarray(source_affine, dtype=np.float64)) @ np.asarray(affine, dtype=np.float64)
    centre = [(shape[0] - 1) / 2, (shape[1] - 1) / 2]
    places = [float(to_source[2] @ [*centre, index, 1.0]) for index in range(shape[2])]
    return [min(max(int(np.floor(place + 0.5)), 0), source_slices - 1) for place in places]
