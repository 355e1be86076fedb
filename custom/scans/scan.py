"""A scan as it was read, and the checks that every scan passes before anything is done with it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from custom.errors import InputError

__all__ = ["StoredScan", "check_affine", "check_scan", "check_shape", "check_values"]

# The columns of an affine whose parallelepiped fills less than this part of the box of their lengths are in one plane.
_SMALLEST_RELATIVE_VOLUME = 1e-6


@dataclass(frozen=True)
class StoredScan:
    """What a file holds, free of its format.

    Attributes:
        array: float32, (*spatial): the axes i, j, k of the affine, or rows and columns of a picture; with several
            frames (cine phases, echoes) (*spatial, frames). In the source's units: slope and intercept have been
            applied.
        affine: 4x4 float64, voxel index to RAS+ world.
        kind: "nifti", "image" or "dicom".
        stored_dtype: numpy name of the type on disk, such as "int16".
        header: what a writer needs beyond this, plain numbers and words only, so that it can be collated. With several
            frames it holds "frames" (how many), "frame_axis" ("time", "echo" or "frame") and "frame_values" (a JSON
            list of floats: times in ms, or plain numbers where the unit is not known).
    """

    array: np.ndarray
    affine: np.ndarray
    kind: str
    stored_dtype: str
    header: dict[str, float | int | str] = field(default_factory=dict)

    @property
    def frames(self) -> int:
        """How many frames the array holds along its last axis; 1 where it has no such axis."""
        return int(self.header.get("frames", 1))

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """The sizes of the axes of space."""
        return self.array.shape[:-1] if self.frames > 1 else self.array.shape


def check_shape(shape: Sequence[int], path: str | os.PathLike[str], largest_dimension: int = 3) -> None:
    """Refuse an array that is not an image of two or three axes with at least one voxel.

    Args:
        shape: sizes of the axes, trailing axes of size 1 beyond the third already dropped.
        path: the file, for the message.
        largest_dimension: how many axes are taken; 4 where the last may be one of frames.

    Raises:
        InputError: for an array of no voxels, of one axis, or of more axes than are taken.
    """
    words = " x ".join(str(size) for size in shape) or "none"
    if any(size < 1 for size in shape) or len(shape) == 0:
        raise InputError(f"{path}: the image holds no voxels (size {words}); export it again")
    if len(shape) == 1:
        raise InputError(f"{path}: the image has one axis only (size {words}); two or three are needed")
    if len(shape) > largest_dimension:
        known = "x, y, slice" if largest_dimension == 3 else "x, y, slice and frame (time, echo)"
        raise InputError(
            f"{path}: the image has {len(shape)} axes (size {words}), and {largest_dimension} can be read: {known}; "
            "write it as several files, one for each image along the others"
        )


def check_affine(affine: np.ndarray, path: str | os.PathLike[str]) -> None:
    """Refuse an affine that places no volume: not finite, or singular, once it is float32 as files hold it.

    Raises:
        InputError: with the determinant and what to do.
    """
    with np.errstate(over="ignore", under="ignore"):
        stored = np.asarray(affine).astype(np.float32)
    if not np.isfinite(stored).all():
        raise InputError(
            f"{path}: the affine holds values that are not numbers, or too large: {np.asarray(affine)[:3].tolist()}; "
            "mend the header (sform or qform), or convert the scan from its source again"
        )
    # The products and squares of float32 fit into float64.
    columns = stored[:3, :3].astype(np.float64)
    determinant = float(np.linalg.det(columns))
    box = float(np.prod(np.linalg.norm(columns, axis=0)))
    if box == 0.0 or abs(determinant) < _SMALLEST_RELATIVE_VOLUME * box:
        raise InputError(
            f"{path}: the affine is singular (determinant {determinant:.3g}), so the voxels have no volume; "
            "mend the header (sform or qform), or convert the scan from its source again"
        )


def check_values(array: np.ndarray, path: str | os.PathLike[str], allow_constant: bool = False) -> None:
    """Refuse voxels that are not finite, and an image of one value only.

    Args:
        array: real numbers, any shape with at least one voxel.
        path: the file, for the message.
        allow_constant: take an image of one value, as a mask may be.

    Raises:
        InputError: with the count of bad voxels, or with the one value.
    """
    lowest, highest = float(array.min()), float(array.max())
    if not np.isfinite(lowest) or not np.isfinite(highest):
        nan_count = int(np.isnan(array).sum())
        infinite_count = int(np.isinf(array).sum())
        raise InputError(
            f"{path}: {nan_count} voxels are NaN and {infinite_count} infinite, of {array.size}; replace them "
            "(for example by 0 outside the body) and run again"
        )
    if lowest == highest and not allow_constant:
        raise InputError(
            f"{path}: every voxel has the value {lowest:g}, so there is no image and no intensity scale; "
            "check the export of this scan"
        )


def check_scan(scan: StoredScan, path: str | os.PathLike[str], allow_constant: bool = False) -> None:
    """Refuse a scan that cannot be worked on: its shape, its affine, its values.

    Raises:
        InputError: one, naming the file, what is wrong and what to do.
    """
    check_shape(scan.spatial_shape, path)
    check_affine(scan.affine, path)
    check_values(scan.array, path, allow_constant)
