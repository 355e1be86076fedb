"""A scan with its header, and the checks that every scan passes before anything is done with it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from custom.errors import InputError
from custom.scans.reference import ScanReference

__all__ = ["Scan", "ScanHeader", "check_affine", "check_scan", "check_shape", "check_values"]

# The columns of an affine lie in one plane if their parallelepiped fills less than this part of a box of their lengths.
_SMALLEST_RELATIVE_VOLUME = 1e-6


@dataclass(frozen=True)
class ScanHeader:
    """What is known of a scan besides its voxels and its affine: what a writer needs to make a result of it.

    It travels with the voxels as `meta["header"]` of a `MetaTensor`; arithmetic, indexing, caching and copying keep it
    there. Only collating does not know it: whole scans are never collated, and patches leave their meta behind. The
    defaults are those of an array that no file holds; `ScanHeader()` is enough to write it as NIfTI.

    Attributes:
        source: the scan that was read; None for an array that no file holds.
        stored_dtype: numpy name of the type on disk, such as "int16".
        slope: units per stored value of a NIfTI file. DICOM has one for each frame, in `source.stack`.
        intercept: units of the stored value 0 of a NIfTI file.
        xform_code: NIfTI code of the affine's frame of reference: 1 is the scanner's own, 4 is MNI.
        space_unit: of the affine: "mm", "meter", "micron", or "unknown".
        frame_axis: what tells several frames apart: "time", "echo", or "frame" where it is not known; "" for one frame.
        frame_values: one number a frame: milliseconds, or plain numbers where the unit is not known.
        time_unit: in which a NIfTI file gives the times: "sec", "msec", "usec", or "unknown".
    """

    source: ScanReference | None = None
    stored_dtype: str = "float32"
    slope: float = 1.0
    intercept: float = 0.0
    xform_code: int = 1
    space_unit: str = "mm"
    frame_axis: str = ""
    frame_values: tuple[float, ...] = (0.0,)
    time_unit: str = "sec"

    @property
    def frames(self) -> int:
        """How many frames the scan has."""
        return len(self.frame_values)

    @property
    def is_picture(self) -> bool:
        """Whether the scan is a PNG or JPEG, which has no place in space."""
        return self.source is not None and self.source.format == "picture"


@dataclass(frozen=True)
class Scan:
    """A scan as its file holds it.

    Attributes:
        array: float32, (*spatial): the axes i, j, k of the affine, or rows and columns of a picture; several frames
            (cine phases, echoes) are the last axis, (*spatial, frames). In the source's units: slope and intercept have
            been applied.
        affine: 4x4 float64, voxel index to RAS+ world.
        header: all else that is known of it.
    """

    array: np.ndarray
    affine: np.ndarray
    header: ScanHeader

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """The sizes of the axes of space."""
        return self.array.shape[:-1] if self.header.frames > 1 else self.array.shape


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


def check_scan(scan: Scan, path: str | os.PathLike[str], allow_constant: bool = False) -> None:
    """Refuse a scan that cannot be worked on: its shape, its affine, its values.

    Raises:
        InputError: one, naming the file, what is wrong and what to do.
    """
    check_shape(scan.spatial_shape, path)
    check_affine(scan.affine, path)
    check_values(scan.array, path, allow_constant)
