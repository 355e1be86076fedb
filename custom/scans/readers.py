"""Reading scans: one function for every kind of file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from monai.data import MetaTensor

from custom.scans.dicom.pixels import read_stack
from custom.scans.find import find_scan
from custom.scans.hdf5 import check_hdf5_header, read_hdf5
from custom.scans.nifti import check_nifti_header, read_nifti
from custom.scans.pictures import check_picture_header, read_picture
from custom.scans.reference import ScanReference
from custom.scans.scan import Scan, check_scan

__all__ = ["check_header", "read_scan"]

_READERS: Mapping[str, Callable[[ScanReference, float | None], Scan]] = {
    "nifti": lambda scan, memory_limit: read_nifti(scan.path, memory_limit),
    "picture": lambda scan, memory_limit: read_picture(scan.path, memory_limit),
    "hdf5": read_hdf5,
    "dicom": lambda scan, memory_limit: read_stack(scan.dicom_stack(), memory_limit),
}
_CHECKS: Mapping[str, Callable[[ScanReference], object]] = {
    "nifti": lambda scan: check_nifti_header(scan.path),
    "picture": lambda scan: check_picture_header(scan.path),
    "hdf5": check_hdf5_header,
    "dicom": lambda scan: scan.dicom_stack(),
}


def check_header(scan: ScanReference | str | os.PathLike[str]) -> None:
    """Refuse a file that is missing, empty, or whose header is not that of a scan; its voxels are not read.

    For DICOM the whole series is looked at: slices that are missing, and all else that its headers show.

    Raises:
        MissingFileError: where there is no such file.
        InputError: for anything else, naming the file.
    """
    reference = scan if isinstance(scan, ScanReference) else find_scan(scan)
    _CHECKS[reference.format](reference)


def read_scan(
    scan: ScanReference | str | os.PathLike[str], allow_constant: bool = False, memory_limit: float | None = None
) -> MetaTensor:
    """Read a scan and check it.

    Args:
        scan: as `list_scans` gives it, or a path as `find_scan` takes it.
        allow_constant: take an image of one value, as a mask may be.
        memory_limit: MB that this process may take, by what the header says; None for the memory that is free.

    Returns:
        Float32 (frames, *spatial), contiguous, two or three spatial axes, in the source's units; an ordinary scan has
        one frame, a cine its phases. Its affine is 4x4 float64, RAS+; its meta holds the `ScanHeader` as "header" and
        the path as "filename_or_obj".

    Raises:
        MissingFileError: where there is no such file.
        InputError: for a file that cannot be read or used; one message that names it, what is wrong and what to do.
    """
    reference = scan if isinstance(scan, ScanReference) else find_scan(scan)
    read = _READERS[reference.format](reference, memory_limit)
    check_scan(read, reference.path, allow_constant)
    frames = np.moveaxis(read.array, -1, 0) if read.header.frames > 1 else read.array[None]
    meta = {"filename_or_obj": str(reference.path), "header": replace(read.header, source=reference)}
    return MetaTensor(torch.from_numpy(np.ascontiguousarray(frames)), affine=torch.from_numpy(read.affine), meta=meta)
