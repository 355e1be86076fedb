"""Writing results: in place, in the source's units, and whole or not at all."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from custom.arrays.geometry import affine_array
from custom.errors import InputError
from custom.options import switch
from custom.scans.dicom.provenance import Provenance
from custom.scans.dicom.writer import write_dicom
from custom.scans.find import KNOWN_SUFFIXES, scan_suffix
from custom.scans.hdf5 import HDF5_SUFFIXES, write_hdf5
from custom.scans.nifti import NIFTI_SUFFIXES, write_nifti
from custom.scans.pictures import write_picture
from custom.scans.result_names import ResultOptions, result_path
from custom.scans.scan import ScanHeader, check_affine, check_shape
from custom.scans.stored import count_not_finite, stored_values
from custom.storage import check_free, whole_file

__all__ = ["WRITABLE_DTYPES", "check_output_dir", "write_result", "write_scan"]

logger = logging.getLogger(__name__)

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


def write_result(
    array: torch.Tensor | np.ndarray,
    affine: torch.Tensor | np.ndarray,
    header: ScanHeader,
    options: ResultOptions,
    provenance: Provenance | None = None,
) -> Path:
    """Write the result of a scan under its name: NIfTI, HDF5, PNG or derived DICOM, as the options and the source say.

    Args:
        array: (frames, *spatial), real numbers in the source's units.
        affine: 4x4, voxel index to RAS+ world; not used for a picture.
        header: of the source.
        options: folder and form of the result.
        provenance: of model and software.

    Returns:
        The path written.

    Raises:
        InputError: as `result_path`, `write_scan` and `write_dicom`.
        ValueError: for a header without a source.
    """
    source = header.source
    if source is None:
        raise ValueError("the result does not know the scan that it was made from, so it cannot be named")
    path = result_path(source, options)
    if source.format == "dicom" and options.output_format != "nifti":
        return write_dicom(
            _frames_last(array, header, path),
            affine_array(affine),
            source.dicom_stack(),
            path,
            form=options.dicom_form,
            provenance=provenance,
            overwrite=options.overwrite,
        )
    # Values stored in DICOM have a meaning only with their slopes, which may differ from plane to plane.
    keeps_type = header.is_picture or (options.dtype == "source" and source.format in ("nifti", "hdf5"))
    stored_dtype = header.stored_dtype if keeps_type else "float32"
    if stored_dtype not in WRITABLE_DTYPES:
        logger.warning("%s: results cannot be written as %s; float32 is used", source.path, stored_dtype)
        stored_dtype = "float32"
    header = replace(header, stored_dtype=stored_dtype)
    return write_scan(array, affine, header, path, options.overwrite, provenance)


def write_scan(
    array: torch.Tensor | np.ndarray,
    affine: torch.Tensor | np.ndarray,
    header: ScanHeader,
    path: str | os.PathLike[str],
    overwrite: bool = False,
    provenance: Provenance | None = None,
) -> Path:
    """Write NIfTI, HDF5 or a picture under a temporary name in its folder, then rename it: half a file is never left.

    Args:
        array: (frames, *spatial), real numbers in the units that a reader shall see; several frames become the fourth
            axis of a NIfTI file.
        affine: 4x4, voxel index to RAS+ world; not used for a picture.
        header: its `stored_dtype` is written: float types as they are, integers rounded and clipped to their range
            after slope and intercept have been taken out. A picture is uint16 if the header says so, else uint8.
        path: .nii, .nii.gz (sform = qform = affine), .h5, .hdf5, .png (8 or 16 bits), .jpg (8 bits); its folder is made
            if need be.
        overwrite: replace a file that is there.
        provenance: of model and software, for `descrip` of NIfTI, `description` of HDF5 or "Description" of PNG.

    Returns:
        The path written.

    Raises:
        InputError: for a file that is there already, values that are not finite, a folder that cannot be written to, a
            disk that is full.
        ValueError: for a name, type or shape that cannot be written.
    """
    target = Path(path)
    values = _frames_last(array, header, target)
    matrix = affine_array(affine)
    suffix = scan_suffix(target)
    stored_dtype = header.stored_dtype
    if not suffix:
        raise ValueError(f"{target}: not a kind of file that can be written; known are {', '.join(KNOWN_SUFFIXES)}")
    if stored_dtype not in WRITABLE_DTYPES:
        raise ValueError(f"{target}: cannot write voxels as {stored_dtype!r}; known are {', '.join(WRITABLE_DTYPES)}")
    check_free(target, overwrite)
    with whole_file(target) as temporary:
        if suffix in NIFTI_SUFFIXES:
            check_affine(matrix, target)
            integer = np.issubdtype(np.dtype(stored_dtype), np.integer)
            slope, intercept = (header.slope or 1.0, header.intercept) if integer else (1.0, 0.0)
            words = provenance.short_description if provenance else ""
            header = replace(header, slope=slope, intercept=intercept)
            write_nifti(values, matrix, header, temporary, shown_as=str(target), description=words)
        elif suffix in HDF5_SUFFIXES:
            check_affine(matrix, target)
            if values.ndim != 3:
                raise InputError(f"{target}: HDF5 is written of three axes and this has {values.ndim}; name it .nii.gz")
            write_hdf5(values, matrix, header, temporary, provenance.description if provenance else "")
        else:
            if values.ndim != 2:
                raise ValueError(f"{target}: a picture has two axes and this has {values.ndim}; name it .nii.gz")
            grey = stored_values(values, "uint16" if stored_dtype == "uint16" else "uint8")
            write_picture(grey, temporary, provenance.description if provenance else "")
    return target


def check_output_dir(path: str | os.PathLike[str], overwrite: bool | str = False, patterns: Sequence[str] = ()) -> Path:
    """Make the folder of the results, and check that it can be written to and holds no results yet.

    Args:
        path: the folder; made, with those above it, where it is not there.
        overwrite: accept a folder that holds results.
        patterns: what counts as a result, as glob patterns such as "*_sr.nii.gz" or "metrics.csv".

    Returns:
        The folder.

    Raises:
        InputError: for a folder that cannot be made or written to, or that holds results.
    """
    overwrite = switch("overwrite", overwrite)
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


def _frames_last(array: torch.Tensor | np.ndarray, header: ScanHeader, target: Path) -> np.ndarray:
    """Bring (frames, *spatial) to NIfTI's order, (*spatial) or (i, j, k, frames); refuse what cannot be a result."""
    tensor = torch.as_tensor(array).detach().cpu()
    # numpy knows neither bfloat16 nor MONAI's metadata
    values = (tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor).numpy()
    if values.ndim < 3 or len(values) != header.frames:
        raise ValueError(
            f"{target}: a result has the shape (frames, *spatial) with as many frames as its source, here "
            f"{header.frames}; got {tuple(values.shape)}"
        )
    check_shape(values.shape[1:], target)
    bad = count_not_finite(values)
    if bad:
        raise InputError(
            f"{target}: {bad} of {values.size} voxels of the result are NaN or infinite; nothing is written"
        )
    if len(values) == 1:
        return values[0]
    # Time is the fourth axis of NIfTI, so an image of two axes becomes a volume of one slice.
    return np.moveaxis(values if values.ndim == 4 else values[..., None], 0, -1)
