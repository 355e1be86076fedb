"""A result as DICOM images need it: values, positions, and the frames of the source that it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from custom.arrays.mapped import release, windows
from custom.errors import InputError
from custom.scans.dicom.frame import DicomStack, Frame
from custom.scans.dicom.planes import Planes, nearest_slices, planes_of
from custom.scans.dicom.rescale import Rescale, choose_rescale
from custom.scans.stored import count_not_finite

__all__ = ["DerivedVolume", "derived_volume"]

_LARGEST_SIDE = 65535  # Rows and Columns are 16 bit


@dataclass(frozen=True)
class DerivedVolume:
    """Values and positions of a result.

    Attributes:
        array: (columns, rows, slices, frames), in the source's units.
        planes: where the slices lie.
        thickness: SliceThickness, mm.
        origins: [slice k][frame t], the frame of the source that each comes from.
        rescales: [slice k][frame t], how each is stored; all alike unless the range is too wide for that.
    """

    array: np.ndarray
    planes: Planes
    thickness: float
    origins: list[tuple[Frame, ...]]
    rescales: list[list[Rescale]]

    @property
    def slices(self) -> int:
        """How many slices there are."""
        return self.array.shape[2]

    @property
    def frames(self) -> int:
        """How many frames each slice has."""
        return self.array.shape[3]

    def stored(self, k: int, t: int) -> np.ndarray:
        """Return the stored values (rows, columns) of slice k and frame t."""
        stored = self.rescales[k][t].stored(self.array[:, :, k, t].T)
        release(self.array)
        return stored


def derived_volume(array: np.ndarray, affine: np.ndarray, source: DicomStack, target: Path) -> DerivedVolume:
    """Work out positions, origins and storage of a result.

    Args:
        array: (columns, rows[, slices[, frames]]), finite, in the source's units.
        affine: 4x4, voxel index to RAS+ mm.
        source: the stack that the result was made from.
        target: where it goes, for messages.

    Raises:
        InputError: for values, sizes or an affine that DICOM cannot hold.
        ValueError: for axes or frames that the source does not have.
    """
    values = array.reshape((*array.shape, *(1,) * (4 - array.ndim))) if 2 <= array.ndim <= 4 else array
    if values.ndim != 4 or values.size == 0:
        raise ValueError(f"{target}: the result has the size {array.shape}; two to four axes with voxels are needed")
    if values.shape[3] != len(source.frames[0]):
        raise ValueError(
            f"{target}: the result has {values.shape[3]} frames and its source {len(source.frames[0])}; "
            "each frame needs one that it derives from"
        )
    if max(values.shape[:2]) > _LARGEST_SIDE:
        raise InputError(
            f"{target}: {values.shape[0]} columns and {values.shape[1]} rows; DICOM holds at most {_LARGEST_SIDE}; "
            "write NIfTI with --output_format nifti"
        )
    if count_not_finite(values):
        raise InputError(f"{target}: voxels of the result are NaN or infinite; nothing is written")
    planes = planes_of(affine, target)
    slices = nearest_slices(affine, values.shape[:3], source.affine, len(source.frames))
    origins = [source.frames[index] for index in slices]
    source_spacing = planes_of(source.affine, target).slice_spacing
    thickness = source.slice_thickness or source_spacing
    return DerivedVolume(
        array=values,
        planes=planes,
        thickness=thickness * planes.slice_spacing / source_spacing,
        origins=origins,
        rescales=_rescales(values, origins, source.stored_dtype.startswith("int")),
    )


def _rescales(values: np.ndarray, origins: list[tuple[Frame, ...]], signed: bool) -> list[list[Rescale]]:
    """Choose one rescale for all planes if it can be as fine as the finest of the source, else one for each plane.

    One is better: some readers expect the same slope in all planes, and all expect the same sign of the stored values.
    """
    planes = [frame for row in origins for frame in row]
    finest = min(abs(frame.slope) for frame in planes)
    intercepts = {frame.intercept for frame in planes}
    start = intercepts.pop() if len(intercepts) == 1 else 0.0
    lowest, highest = min(values[w].min() for w in windows(values)), max(values[w].max() for w in windows(values))
    common = choose_rescale(float(lowest), float(highest), finest, start, signed)
    if common.slope <= finest * (1 + 1e-9) or len(planes) == 1:
        return [[common] * values.shape[3] for _ in origins]
    rescales = []
    for index, row in enumerate(origins):
        lows, highs = values[:, :, index].min(axis=(0, 1)), values[:, :, index].max(axis=(0, 1))
        rescales.append(
            [
                choose_rescale(float(low), float(high), frame.slope, float(low), False)
                for frame, low, high in zip(row, lows, highs, strict=True)
            ]
        )
    return rescales
