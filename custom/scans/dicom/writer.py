"""Writing a result as a derived DICOM series, with the geometry, units, patient and study of its source."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from pydicom.dataset import Dataset

from custom.errors import InputError
from custom.scans.dicom.classic import write_classic
from custom.scans.dicom.clean import read_clean
from custom.scans.dicom.enhanced import write_enhanced
from custom.scans.dicom.files import lenient_pydicom
from custom.scans.dicom.flatten import flat_header
from custom.scans.dicom.frame import DicomStack, Frame
from custom.scans.dicom.provenance import Provenance
from custom.scans.dicom.series import DerivedSeries
from custom.scans.dicom.volume import derived_volume
from custom.storage import check_free, whole_file, whole_folder

__all__ = ["DicomForm", "write_dicom", "writes_one_file"]

#: The form of a result: "as_input" is that of its source; "classic" is single-frame files, also from an Enhanced
#: source; "enhanced" is one multi-frame file, from an Enhanced source only.
DicomForm = Literal["as_input", "classic", "enhanced"]


def writes_one_file(enhanced: bool, form: DicomForm, path: Path) -> bool:
    """Say whether a result is one Enhanced file; else it is a folder of classic files.

    Args:
        enhanced: whether the source is Enhanced.
        form: see `DicomForm`.
        path: the source, for messages.

    Raises:
        InputError: for an Enhanced result of a classic source, whose headers lack elements that it needs.
    """
    if form == "enhanced" and not enhanced:
        raise InputError(
            f"{path}: a classic series does not say all that an Enhanced image has to; use --dicom_form as_input or "
            "classic"
        )
    return enhanced and form != "classic"


def write_dicom(
    array: np.ndarray,
    affine: np.ndarray,
    source: DicomStack,
    target: Path,
    *,
    form: DicomForm = "as_input",
    provenance: Provenance | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a derived MR series, whole or not at all: a folder of classic images, or one Enhanced file.

    Study, patient and frame of reference are those of the source; series and images are new. Each image takes the
    elements of its acquisition from the source frame that it comes from: the same frame of the nearest slice. Values
    are stored in 16 bits, with an error of at most half a stored unit of the source if their range allows.

    Args:
        array: (columns, rows[, slices[, frames]]), real numbers in the source's units.
        affine: 4x4, voxel index to RAS+ mm.
        source: the stack that the result was made from.
        target: the folder of a classic series, or the file of an Enhanced one.
        form: see `DicomForm`.
        provenance: of model and software.
        overwrite: replace a result that is there.

    Returns:
        The path written.

    Raises:
        InputError: for a result that is there already, values or an affine that DICOM cannot hold, a source that is
            no longer there, a folder that cannot be written to, a disk that is full.
    """
    target = Path(target)
    one_file = writes_one_file(source.enhanced, form, source.files[0])
    check_free(target, overwrite)
    volume = derived_volume(np.asarray(array), np.asarray(affine, dtype=np.float64), source, target)
    made = provenance or Provenance()
    series = DerivedSeries(made if made.factor else replace(made, factor=_factor(source.affine, affine)))
    with lenient_pydicom():
        if one_file:
            with whole_file(target) as temporary:
                write_enhanced(volume, read_clean(source.files[0]), source, series, temporary, target)
            return target
        headers = _Headers(source.enhanced)
        with whole_folder(target, "IM-*.dcm") as temporary:
            write_classic(volume, headers, series, temporary, is_timed=source.frame_axis == "time")
    return target


class _Headers:
    """Classic headers of a source's frames; each file is read once."""

    def __init__(self, enhanced: bool) -> None:
        self.enhanced = enhanced
        self.read = lru_cache(maxsize=None)(read_clean)

    def __call__(self, frame: Frame) -> Dataset:
        """Return the classic header of a frame, a copy that may be changed."""
        header = self.read(frame.path)
        return flat_header(header, frame.number) if self.enhanced else copy.deepcopy(header)


def _factor(source: np.ndarray, result: np.ndarray) -> str:
    """Return the factors by which the voxels became smaller along columns, rows and slices, such as "4x4x1"."""
    ratios = np.linalg.norm(source[:3, :3], axis=0) / np.linalg.norm(np.asarray(result)[:3, :3], axis=0)
    return "x".join(f"{ratio:.4g}" for ratio in ratios)
