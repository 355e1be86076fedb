"""Finding scans: what a path stands for, and all scans below a folder."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from custom.errors import InputError, MissingFileError, input_error_in, working_on
from custom.scans.dicom.files import is_dicom
from custom.scans.dicom.search import DicomSearch
from custom.scans.dicom.stack_files import StackFiles, file_stem, is_named_dicom
from custom.scans.hdf5 import HDF5_SUFFIXES
from custom.scans.nifti import NIFTI_SUFFIXES
from custom.scans.pictures import PICTURE_SUFFIXES
from custom.scans.reference import ScanReference

__all__ = ["KNOWN_SUFFIXES", "find_scan", "list_scans", "scan_suffix"]

logger = logging.getLogger(__name__)

#: Endings of the names of files that are not DICOM, lower case, with the dot. DICOM is known by its content.
KNOWN_SUFFIXES = (*NIFTI_SUFFIXES, *PICTURE_SUFFIXES, *HDF5_SUFFIXES)

_SHOWN_SERIES = 20


def scan_suffix(path: str | os.PathLike[str]) -> str:
    """Return the ending of a scan's file name (".nii.gz" as one), lower case, or "" for a kind that is not known."""
    name = os.fspath(path).lower()
    return next((suffix for suffix in KNOWN_SUFFIXES if name.endswith(suffix)), "")


def find_scan(
    path: str | os.PathLike[str], search: DicomSearch | None = None, dataset: str | None = None
) -> ScanReference:
    """Find the scan that a path stands for; of DICOM the headers are read, of other files nothing but the first bytes.

    Args:
        path: NIfTI (.nii, .nii.gz), a picture (.png, .jpg, .jpeg), HDF5 (.h5, .hdf5), a DICOM file of any name, which
            stands for its series (the files of the same folder, series and kind of image), or a folder that holds one
            DICOM series.
        search: a search that has looked into some folders already, for who looks for many scans.
        dataset: which dataset of an HDF5 file is wanted; needless where only one is a volume.

    Returns:
        The scan; a DICOM series that cannot be read comes with its problem.

    Raises:
        MissingFileError: where there is no such file.
        InputError: for an empty file, a file of an unknown kind, and a folder without or with several DICOM series.
    """
    place = Path(path)
    search = search or DicomSearch()
    if not place.is_dir():
        return _of_dataset(_find_file(place, search), dataset)
    stacks = search.below(place).stacks
    if not stacks:
        raise InputError(f"{place}: no DICOM image of MR in this folder; check the path")
    if len(stacks) > 1:
        words = "; ".join(map(str, stacks[:8])) + ("; ..." if len(stacks) > 8 else "")
        raise InputError(
            f"{place}: the folder holds {len(stacks)} series: {words}; choose one by --series, or give one of its files"
        )
    return _series_reference(stacks[0])


def list_scans(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output_dir: str | os.PathLike[str] | None = None,
    series: str | int | None = None,
    dataset: str | None = None,
) -> list[ScanReference]:
    """List the scans of a file, of a folder (with its folders), or of a list of both, sorted within each folder.

    Each folder is searched once, and the header of each DICOM file is read once. In folders, hidden files and files of
    an unknown kind are left out; a file that is named itself has to be of a known kind. A scan that is named twice is
    listed once. Each DICOM series, and each kind of image in it, is one scan; a series that cannot be read is listed
    with its problem, which is raised when the scan is read.

    Results of an earlier run are left out of folders: everything in `output_dir`, if that lies below the folder. If the
    folder lies in `output_dir` itself, a file `<name>_sr` beside its source `<name>`, and DICOM whose file, or a folder
    above it, is called `<name>_sr`.

    Args:
        path: where to look.
        output_dir: folder of the results.
        series: which DICOM series of the folders is wanted, by SeriesInstanceUID, by SeriesNumber or by a part of the
            SeriesDescription; nothing else in the folders is listed then. Without it all are; if these are several
            series, their names are logged.
        dataset: see `find_scan`.

    Raises:
        MissingFileError: for a path that is not there.
        InputError: for a file of an unknown kind, where there is no scan at all, or no such series. An empty folder
            beside others is listed with its problem.
    """
    given: Iterable[str | os.PathLike[str]] = [path] if isinstance(path, (str, os.PathLike)) else path
    search = DicomSearch()
    found: dict[Path, ScanReference] = {}
    stacks: dict[Path, StackFiles] = {}  # of folders: `series` chooses among them
    named: set[Path] = set()
    empty: list[Path] = []
    for entry in given:
        with working_on(entry):  # a name may be one that no file can have
            place = Path(entry)
            if place.is_dir():
                scans, of_folder = _find_below(place, search, output_dir)
                stacks |= of_folder
                empty += [] if scans else [place]
            else:
                scans = [_find_file(place, search)]
                named.add(scans[0].path)
        found |= {scan.path: scan for scan in scans}
    if series is not None:
        wanted = named | _chosen(stacks, str(series))
        found = {scan: reference for scan, reference in found.items() if scan in wanted}
    if not found and stacks:
        raise InputError(f"no DICOM series fits {str(series)!r}; there are {_names(stacks.values())}")
    if not found:
        words = ", ".join(map(str, given)) or "an empty list"
        raise InputError(f"{words}: no scan found; known kinds are DICOM (MR images), {', '.join(KNOWN_SUFFIXES)}")
    for place in empty:  # the others go on
        problem = f"{place}: no scan found in this folder; check the path"
        found[place] = ScanReference(place, "dicom", place.name, place.parent, problem=problem)
    if series is None and len(stacks) > 1:
        logger.info("%d DICOM series: %s", len(stacks), _names(stacks.values()))
    return [_of_dataset(scan, dataset) for scan in found.values()]


def _find_below(
    folder: Path, search: DicomSearch, output_dir: str | os.PathLike[str] | None
) -> tuple[list[ScanReference], dict[Path, StackFiles]]:
    """Find the scans in a folder and its folders, sorted, without results; return the DICOM stacks among them too."""
    content = search.below(folder)
    others = [
        _file_reference(file)
        for file in content.others
        if scan_suffix(file) and not _is_result(file, folder, output_dir, is_dicom=False)
    ]
    stacks = [stack for stack in content.stacks if not _is_result(stack.path, folder, output_dir, is_dicom=True)]
    series = [_series_reference(stack) for stack in stacks]
    scans = sorted([*others, *series], key=lambda scan: scan.path)
    return scans, {scan.path: stack for scan, stack in zip(series, stacks, strict=True)}


def _find_file(file: Path, search: DicomSearch) -> ScanReference:
    """Find the scan of a file; see `find_scan`."""
    if not _is_dicom_file(file):
        return _file_reference(file)
    try:
        return _series_reference(search.stack_of(file), named=file)
    except InputError as err:
        return ScanReference(file, "dicom", file_stem(file), file.parent, problem=str(err))


def _is_dicom_file(file: Path) -> bool:
    """Say whether a file is DICOM: by its content, or by a name that no other kind of file has.

    Raises:
        MissingFileError: where there is no such file.
        InputError: for a file that is empty, cannot be opened, or is of an unknown kind.
    """
    if not file.exists():
        link = "a link to a file that is not there" if file.is_symlink() else "no such file"
        raise MissingFileError(f"{file}: {link}; check the path")
    if not file.is_file():
        raise InputError(f"{file}: a pipe, a socket or a device, where a file is needed; copy its content into a file")
    content_is_dicom = is_dicom(file)
    if not (content_is_dicom or is_named_dicom(file) or scan_suffix(file)):
        raise InputError(f"{file}: not a kind of file that can be read; known are DICOM, {', '.join(KNOWN_SUFFIXES)}")
    try:
        with file.open("rb") as stream:
            empty = not stream.read(1)
    except OSError as err:
        raise InputError(f"{file}: cannot be opened ({err.strerror}); check who may read it") from err
    if empty:
        raise InputError(f"{file}: the file is empty (0 bytes); copy or download it again")
    return content_is_dicom or not scan_suffix(file)


def _file_reference(file: Path) -> ScanReference:
    suffix = scan_suffix(file)
    kind: Literal["nifti", "hdf5", "picture"] = (
        "nifti" if suffix in NIFTI_SUFFIXES else "hdf5" if suffix in HDF5_SUFFIXES else "picture"
    )
    return ScanReference(file, kind, file.name[: -len(suffix)], file.parent)


def _of_dataset(scan: ScanReference, dataset: str | None) -> ScanReference:
    return replace(scan, dataset=dataset) if dataset and scan.format == "hdf5" else scan


def _series_reference(files: StackFiles, named: Path | None = None) -> ScanReference:
    """Put a DICOM series in order; one that has none is called by its first file by name."""
    folder = files.path.parent if files.files[0].multiframe else files.folder.parent
    try:
        with working_on(files.path):
            stack = files.arranged(named=named is not None)
    except Exception as err:
        problem = str(input_error_in(err))
        return ScanReference(files.above or files.path, "dicom", files.name, folder, problem=problem)
    if named and files.beside:
        logger.warning("%s: its series is read without a file beside it: %s", named, files.beside)
    return ScanReference(files.above or stack.files[0], "dicom", files.name, folder, stack)


def _chosen(stacks: Mapping[Path, StackFiles], series: str) -> set[Path]:
    """Return the scans of a series; a number or UID is meant as such before it is part of a description."""
    exact = {scan for scan, stack in stacks.items() if stack.is_series(series)}
    return exact or {scan for scan, stack in stacks.items() if stack.is_described(series)}


def _names(stacks: Iterable[StackFiles]) -> str:
    words = [str(stack) for stack in stacks]
    return "; ".join(words[:_SHOWN_SERIES]) + ("; ..." if len(words) > _SHOWN_SERIES else "")


def _is_result(file: Path, folder: Path, output_dir: str | os.PathLike[str] | None, is_dicom: bool) -> bool:
    """Say whether a file below a folder is a result of an earlier run; see `list_scans`."""
    if output_dir is None or not file.resolve().is_relative_to(Path(output_dir).resolve()):
        return False
    if not folder.resolve().is_relative_to(Path(output_dir).resolve()):
        return True
    if is_dicom:
        return any(part.endswith("_sr") for part in (*file.relative_to(folder).parts, file_stem(file)))
    stem = file.name[: -len(scan_suffix(file))]
    return stem.endswith("_sr") and any(file.with_name(stem[:-3] + e).exists() for e in (*KNOWN_SUFFIXES, "", ".dcm"))
