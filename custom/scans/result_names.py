"""Where results go: beside each other in one folder, named after their sources, never over them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from custom.errors import InputError, UsageError
from custom.scans.dicom.headers import is_dicom
from custom.scans.dicom.stack import StackFiles, find_stack_files, is_named_dicom, stack_files_of
from custom.scans.dicom.writer import check_dicom_form, writes_one_file
from custom.scans.pictures import PICTURE_SUFFIXES
from custom.scans.readers import known_suffixes, scan_suffix
from custom.storage import check_free

__all__ = ["OUTPUT_FORMATS", "result_path", "result_paths"]

OUTPUT_FORMATS = ("nifti", "dicom")


def result_path(
    source: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    suffix: str = "_sr",
    overwrite: bool = False,
    root: str | os.PathLike[str] | None = None,
    output_format: str | None = None,
    dicom_form: str = "as_input",
) -> Path:
    """Say where the result of a scan goes: `<name>_sr.nii.gz` for `<name>.nii.gz`, in `output_dir`.

    NIfTI keeps its ending; every picture becomes PNG, since JPEG would lose part of the result again. A classic DICOM
    series in a folder `knee` becomes a folder `knee_sr` (with the series number where there are several), an Enhanced
    file `x.dcm` the file `x_sr.dcm`, and as NIfTI `knee_sr.nii.gz` and `x_sr.nii.gz`.

    Args:
        source: the scan that was read.
        output_dir: the folder of the results; need not be there yet.
        suffix: what is added to the name.
        overwrite: take a path that is there already.
        root: folder that `source` was found in; folders between it and the scan are made anew under `output_dir`.
        output_format: "nifti", "dicom", or None for the source's own.
        dicom_form: see `custom.scans.dicom.writer.DicomForm`.

    Raises:
        UsageError: for a format or form that is not known.
        InputError: where the result is there already, would lie outside `output_dir`, or would replace its source;
            for DICOM from a source that is none, and NIfTI from a picture.
    """
    if output_format not in (None, *OUTPUT_FORMATS):
        raise UsageError(f"output_format {output_format!r} is not known; use one of {', '.join(OUTPUT_FORMATS)}")
    check_dicom_form(dicom_form)
    file = Path(source)
    if file.is_dir() or is_dicom(file) or is_named_dicom(file):
        place, name, ending = _of_dicom(file, output_format, dicom_form)
    else:
        place, name, ending = _of_other(file, output_format)
    folder = Path(output_dir)
    if root is not None and place.resolve().is_relative_to(Path(root).resolve()):
        folder = folder / place.resolve().relative_to(Path(root).resolve())
    target = folder / f"{name}{suffix}{ending}"
    if not target.resolve().is_relative_to(Path(output_dir).resolve()):
        raise InputError(f"{target}: the result of {file} would lie outside {output_dir}; check the suffix {suffix!r}")
    if target.resolve() == file.resolve() or file.resolve().is_relative_to(target.resolve()):
        raise InputError(f"{file}: the result would replace its source; give a suffix or another output_dir")
    check_free(target, overwrite)
    return target


def result_paths(
    sources: Sequence[str | os.PathLike[str]], output_dir: str | os.PathLike[str], **naming: Any
) -> list[Path]:
    """Say where the results of many scans go, and refuse two for one place.

    Args:
        sources: the scans that were read.
        output_dir: the folder of the results; need not be there yet.
        **naming: the keywords of `result_path`.

    Raises:
        UsageError: as `result_path`.
        InputError: as `result_path`, and where two sources would have one result.
    """
    owners: dict[Path, str | os.PathLike[str]] = {}
    for source in sources:
        target = result_path(source, output_dir, **naming)
        if target in owners:
            raise InputError(
                f"{target}: would be the result of both {owners[target]} and {source}; "
                "give the folder that holds them all, or run them one by one into different folders"
            )
        owners[target] = source
    return list(owners)


def _of_other(file: Path, output_format: str | None) -> tuple[Path, str, str]:
    """Return the folder that a scan lies in, its name and its result's ending."""
    ending = scan_suffix(file)
    if not ending:
        raise InputError(f"{file}: not a kind of file that can be written; known are {', '.join(known_suffixes())}")
    if output_format == "dicom":
        raise InputError(
            f"{file}: is not DICOM, so there is no patient, study and frame of reference to copy; use --output_format "
            "nifti, or give the DICOM series"
        )
    picture = ending in PICTURE_SUFFIXES
    if picture and output_format == "nifti":
        raise InputError(f"{file}: a picture has no place in space; its result is PNG, leave --output_format out")
    return file.parent, file.name[: -len(ending)], ".png" if picture else ending


def _of_dicom(path: Path, output_format: str | None, dicom_form: str) -> tuple[Path, str, str]:
    """Return the folder that a stack's result takes the place in, its name and its result's ending.

    A stack that cannot be read gets a name too: whoever reads it says why.
    """
    try:
        stack = _stack_files(path)
    except InputError:
        return path.parent, path.name.split(".")[0], ""
    first = stack.files[0]
    place = first.path.parent if first.multiframe else stack.folder.parent
    if output_format == "nifti":
        return place, stack.name, ".nii.gz"
    return place, stack.name, ".dcm" if writes_one_file(first.enhanced, dicom_form, path) else ""


def _stack_files(path: Path) -> StackFiles:
    if not path.is_dir():
        return stack_files_of(path)
    found = find_stack_files(path)
    if len(found) != 1:
        raise InputError(f"{path}: holds {len(found)} series")
    return found[0]
