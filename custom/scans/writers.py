"""Writing results: in place, in the source's units, and whole or not at all."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from custom.arrays.geometry import affine_array
from custom.errors import InputError
from custom.scans.dicom.provenance import Provenance
from custom.scans.dicom.stack import stack_of
from custom.scans.dicom.writer import DicomForm, write_dicom
from custom.scans.nifti import NIFTI_SUFFIXES, write_nifti
from custom.scans.pictures import write_picture
from custom.scans.readers import known_suffixes, scan_suffix
from custom.scans.result_names import OUTPUT_FORMATS, result_path, result_paths
from custom.scans.scan import check_affine, check_shape
from custom.storage import check_free, whole_file

__all__ = [
    "OUTPUT_FORMATS",
    "WRITABLE_DTYPES",
    "check_output_dir",
    "result_path",
    "result_paths",
    "write_dicom_scan",
    "write_scan",
]

WRITABLE_DTYPES = (
    "float32",
    "float64",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
)


def write_scan(
    pred: torch.Tensor | np.ndarray,
    affine: torch.Tensor | np.ndarray,
    path: str | os.PathLike[str],
    stored_dtype: str = "float32",
    scl_slope: float = 1.0,
    scl_inter: float = 0.0,
    xform_code: int = 1,
    xyz_unit: str = "mm",
    overwrite: bool = False,
    frame_axis: str = "",
    frame_values: str = "[]",
    time_unit: str = "sec",
) -> Path:
    """Write a result under a temporary name in its folder, then rename it: nothing half-written is ever left.

    Args:
        pred: (frames, *spatial), real numbers in the units that a reader shall see; several frames become the fourth
            axis of a NIfTI file.
        affine: 4x4, voxel index to RAS+ world; not used for a picture.
        path: .nii, .nii.gz (sform = qform = affine), .png (8 or 16 bits), .jpg (8 bits); its folder is made if need be.
        stored_dtype: a numpy name; float types are written as they are, integers rounded and clipped to their range
            after the slope has been taken out. A picture is uint16 if that is asked for, else uint8.
        scl_slope: slope of an integer NIfTI, as its source had it.
        scl_inter: intercept of an integer NIfTI, as its source had it.
        xform_code: NIfTI code of both forms, as the source had it; 1 is the scanner's frame.
        xyz_unit: unit of the affine.
        overwrite: replace a file that is there.
        frame_axis: of several frames, as the source had it: "time", "echo" or "frame".
        frame_values: one number a frame as a JSON list, times in ms; needed for several frames.
        time_unit: of the NIfTI header, as the source had it.

    Returns:
        The path written.

    Raises:
        InputError: for a file that is there already, a name or type that cannot be written, values that are not
            finite, a folder that cannot be written to, a disk that is full.
    """
    target = Path(path)
    values: list[float] = json.loads(frame_values)
    array = _as_array(pred, target, len(values))
    matrix = affine_array(affine)
    suffix = scan_suffix(target)
    if not suffix:
        raise InputError(f"{target}: not a kind of file that can be written; known are {', '.join(known_suffixes())}")
    if stored_dtype not in WRITABLE_DTYPES:
        raise InputError(f"{target}: cannot write voxels as {stored_dtype!r}; known are {', '.join(WRITABLE_DTYPES)}")
    check_free(target, overwrite)
    with whole_file(target) as temporary:
        if suffix in NIFTI_SUFFIXES:
            check_affine(matrix, target)
            integer = np.issubdtype(np.dtype(stored_dtype), np.integer)
            slope, intercept = (scl_slope or 1.0, scl_inter) if integer else (1.0, 0.0)
            write_nifti(
                _to_dtype(array, stored_dtype, slope, intercept),
                matrix,
                temporary,
                scl_slope=slope,
                scl_inter=intercept,
                xform_code=xform_code,
                xyz_unit=xyz_unit,
                shown_as=str(target),
                frame_axis=frame_axis,
                frame_values=values,
                time_unit=time_unit,
            )
        else:
            if array.ndim != 2:
                raise InputError(f"{target}: a picture has two axes and this has {array.ndim}; name it .nii.gz")
            write_picture(_to_dtype(array, "uint16" if stored_dtype == "uint16" else "uint8"), temporary)
    return target


def write_dicom_scan(
    pred: torch.Tensor | np.ndarray,
    affine: torch.Tensor | np.ndarray,
    path: str | os.PathLike[str],
    source: str | os.PathLike[str],
    dicom_form: DicomForm = "as_input",
    provenance: Provenance | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a result as a derived DICOM series, whole or not at all; see `write_dicom`.

    Args:
        pred: (frames, *spatial), real numbers in the source's units.
        affine: 4x4, voxel index to RAS+ mm.
        path: the target of `write_dicom`, as `result_path` names it.
        source: the DICOM scan that the result was made from, as `read_scan` takes it.
        dicom_form: the form of `write_dicom`.
        provenance: as for `write_dicom`.
        overwrite: as for `write_dicom`.

    Returns:
        The path written.

    Raises:
        InputError: as `write_dicom` and `stack_of`.
    """
    target = Path(path)
    stack = stack_of(Path(source))
    frames = len(stack.frames[0])
    array = _as_array(pred, target, frames)
    array = array[..., None] if frames == 1 else array
    matrix = affine_array(affine)
    return write_dicom(array, matrix, stack, target, form=dicom_form, provenance=provenance, overwrite=overwrite)


def check_output_dir(path: str | os.PathLike[str], overwrite: bool = False, patterns: Sequence[str] = ()) -> Path:
    """Make the folder of the results and see that it can be written to and holds none yet.

    Args:
        path: the folder; made, with those above it, where it is not there.
        overwrite: take a folder that holds results.
        patterns: what counts as a result, as glob patterns such as "*_sr.nii.gz" or "metrics.csv".

    Returns:
        The folder.

    Raises:
        InputError: for a folder that cannot be made or written to, or that holds results.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{secrets.token_hex(8)}.tmp"
        try:
            probe.write_bytes(b"0")
        finally:
            probe.unlink(missing_ok=True)
    except OSError as err:
        reason = "a file of that name is in the way" if _blocked_by_file(folder) else err.strerror or str(err)
        raise InputError(f"output_dir {folder}: cannot be written to ({reason}); give another output_dir") from err
    if not overwrite:
        there = sorted({found.name for pattern in patterns for found in folder.glob(pattern)})
        if there:
            more = f" and {len(there) - 5} more" if len(there) > 5 else ""
            raise InputError(
                f"output_dir {folder}: holds results already ({', '.join(there[:5])}{more}); "
                "give another output_dir, or --overwrite true to replace them"
            )
    return folder


def _blocked_by_file(folder: Path) -> bool:
    return any(part.exists() and not part.is_dir() for part in (folder, *folder.parents))


def _as_array(pred: torch.Tensor | np.ndarray, target: Path, frames: int) -> np.ndarray:
    """Bring (frames, *spatial) to NIfTI's order, (*spatial) or (i, j, k, frames); refuse what cannot be a result."""
    tensor = torch.as_tensor(pred).detach().cpu()
    # numpy knows neither bfloat16 nor MONAI's metadata
    array = (tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor).numpy()
    if array.ndim < 3 or len(array) != max(frames, 1):
        raise InputError(
            f"{target}: a result has the shape (frames, *spatial) with as many frames as its source (frame_values), "
            f"here {max(frames, 1)}; got {tuple(array.shape)}"
        )
    check_shape(array.shape[1:], target)
    bad = int(array.size - np.isfinite(array).sum())
    if bad:
        raise InputError(
            f"{target}: {bad} of {array.size} voxels of the result are NaN or infinite; nothing is written"
        )
    if len(array) == 1:
        return array[0]
    # NIfTI's fourth axis is the first that may be one of time, so frames of two axes become those of one slice.
    return np.moveaxis(array if array.ndim == 4 else array[..., None], 0, -1)


def _to_dtype(array: np.ndarray, dtype: str, slope: float = 1.0, intercept: float = 0.0) -> np.ndarray:
    """Bring values to the stored type; integers are rounded and clipped, never wrapped."""
    kind = np.dtype(dtype)
    if not np.issubdtype(kind, np.integer):
        return array.astype(kind)
    limits = np.iinfo(kind)
    stored = np.empty(array.shape, dtype=kind)
    for index, part in enumerate(array):  # float64 for one slice at a time, not for the whole volume
        values = np.rint((part.astype(np.float64) - intercept) / slope)
        stored[index] = np.clip(values, limits.min, limits.max)
    return stored
