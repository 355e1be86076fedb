"""Where results go: beside each other in one folder, named after their sources, never over them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from custom.errors import InputError, UsageError
from custom.options import switch
from custom.scans.dicom.writer import DicomForm, writes_one_file
from custom.scans.find import scan_suffix
from custom.scans.reference import ScanReference
from custom.storage import check_free

__all__ = ["ResultOptions", "result_path", "result_paths"]

_SUFFIX = "_sr"


@dataclass(frozen=True)
class ResultOptions:
    """Where results go and as what they are written: what the keys of the inference command say.

    Attributes:
        output_dir: the folder of the results; need not be there yet.
        root: folder that the scans were found in; the folders between it and a scan are made anew in `output_dir`.
        output_format: "nifti", "dicom", or None for the source's own. DICOM is written for DICOM sources only.
        dicom_form: see `DicomForm`.
        dtype: "float32", or "source" for the type (and slope) of the NIfTI or HDF5 file that was read. Pictures
            always keep their type, and DICOM is always 16 bits.
        overwrite: replace results that are there; "true" and "false" are read too.

    Raises:
        UsageError: for an output_format, dicom_form, dtype or overwrite that is not known.
    """

    output_dir: str | os.PathLike[str]
    root: str | os.PathLike[str] | None = None
    output_format: Literal["nifti", "dicom"] | None = None
    dicom_form: DicomForm = "as_input"
    dtype: Literal["float32", "source"] = "float32"
    overwrite: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "overwrite", switch("overwrite", self.overwrite))
        for key, value, known in (
            ("output_format", self.output_format, (None, "nifti", "dicom")),
            ("dicom_form", self.dicom_form, get_args(DicomForm)),
            ("output_dtype", self.dtype, ("float32", "source")),
        ):
            if value not in known:
                raise UsageError(f"{key} {value!r} is not known; use one of {', '.join(filter(None, known))}")


def result_path(source: ScanReference, options: ResultOptions) -> Path:
    """Say where the result of a scan goes: `<name>_sr.nii.gz` for `<name>.nii.gz`, in `output_dir`.

    NIfTI and HDF5 keep their endings; every picture becomes PNG, since JPEG would lose part of the result again. A
    classic DICOM series in a folder `knee` becomes a folder `knee_sr` (with the series number where there are several),
    an Enhanced file `x.dcm` the file `x_sr.dcm`, and as NIfTI `knee_sr.nii.gz` and `x_sr.nii.gz`.

    Raises:
        InputError: where the result is there already or would replace its source; for a DICOM series that cannot be
            read; for DICOM from a source of another format, and NIfTI from a picture.
    """
    folder = Path(options.output_dir)
    if options.root is not None and source.folder.resolve().is_relative_to(Path(options.root).resolve()):
        folder = folder / source.folder.resolve().relative_to(Path(options.root).resolve())
    target = folder / f"{source.name}{_SUFFIX}{_ending(source, options)}"
    if source.path.resolve().is_relative_to(target.resolve()):
        raise InputError(f"{source.path}: the result {target} would replace its source; give another output_dir")
    check_free(target, options.overwrite)
    return target


def result_paths(sources: Sequence[ScanReference], options: ResultOptions) -> list[Path]:
    """Say where the results of many scans go, and refuse two for one place; scans that cannot be read have none.

    Raises:
        InputError: as `result_path`, and where two sources would have one result.
    """
    owners: dict[Path, ScanReference] = {}
    for source in sources:
        if source.problem:
            continue
        target = result_path(source, options)
        if target in owners:
            raise InputError(
                f"{target}: would be the result of both {owners[target].path} and {source.path}; "
                "give the folder that holds them all, or run them one by one into different folders"
            )
        owners[target] = source
    return list(owners)


def _ending(source: ScanReference, options: ResultOptions) -> str:
    """Return the ending of a result's name, "" for a folder of DICOM files."""
    if source.format == "dicom":
        if options.output_format == "nifti":
            return ".nii.gz"
        return ".dcm" if writes_one_file(source.dicom_stack().enhanced, options.dicom_form, source.path) else ""
    if options.output_format == "dicom":
        raise InputError(
            f"{source.path}: is not DICOM, so there is no patient, study and frame of reference to copy; use "
            "--output_format nifti, or give the DICOM series"
        )
    if source.format == "hdf5" and options.output_format == "nifti":
        return ".nii.gz"
    if source.format in ("nifti", "hdf5"):
        return scan_suffix(source.path)
    if options.output_format == "nifti":
        raise InputError(
            f"{source.path}: a picture has no place in space; its result is PNG, leave --output_format out"
        )
    return ".png"
