"""Reading scans: one function for every kind of file, and a MONAI reader over it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import ImageReader, MetaTensor

from custom.errors import InputError, MissingFileError
from custom.scans.dicom.headers import is_dicom
from custom.scans.dicom.pixels import read_stack
from custom.scans.dicom.stack import StackFiles, is_named_dicom, join_parts, stack_files_of, stack_of, stacks_in
from custom.scans.folders import entries_in, folders_in
from custom.scans.nifti import NIFTI_SUFFIXES, check_nifti_header, read_nifti
from custom.scans.pictures import PICTURE_SUFFIXES, check_picture_header, read_picture
from custom.scans.scan import StoredScan, check_scan

__all__ = ["ScanReader", "check_header", "known_suffixes", "list_scans", "read_scan", "scan_suffix"]

logger = logging.getLogger(__name__)

_SHOWN_SERIES = 20


@dataclass(frozen=True)
class _Format:
    """A kind of file: how it is named, read, and looked at without reading its voxels."""

    suffixes: tuple[str, ...]
    read: Callable[[Path], StoredScan]
    check_header: Callable[[Path], None]


def _read_dicom(path: Path) -> StoredScan:
    return read_stack(stack_of(path))


def _check_dicom(path: Path) -> None:
    stack_of(path)


# DICOM is known by its content and not by its name; a folder stands for the one series in it.
_DICOM = _Format((), _read_dicom, _check_dicom)
# A new kind of file is a module beside nifti.py and one line here.
_FORMATS = (
    _Format(NIFTI_SUFFIXES, read_nifti, check_nifti_header),
    _Format(PICTURE_SUFFIXES, read_picture, check_picture_header),
)


def known_suffixes() -> tuple[str, ...]:
    """Return the endings of file names that can be read, lower case, with the dot."""
    return tuple(suffix for known in _FORMATS for suffix in known.suffixes)


def scan_suffix(path: str | os.PathLike[str]) -> str:
    """Return the ending of a scan's file name (".nii.gz" as one), lower case, or "" for a kind that is not known."""
    name = os.fspath(path).lower()
    return next((suffix for suffix in known_suffixes() if name.endswith(suffix)), "")


def check_header(path: str | os.PathLike[str]) -> None:
    """Refuse a file that is missing, empty, or whose header is not that of a scan; its voxels are not read.

    For DICOM the whole series is looked at: slices that are missing, and all else that its headers show.

    Raises:
        MissingFileError: where there is no such file.
        InputError: for anything else, naming the file.
    """
    file = Path(path)
    _format_of(file).check_header(file)


def read_scan(path: str | os.PathLike[str], allow_constant: bool = False) -> MetaTensor:
    """Read a scan and check it.

    Args:
        path: NIfTI (.nii, .nii.gz), a picture (.png, .jpg, .jpeg), a DICOM file of any name, which stands for its
            series, or a folder with one DICOM series.
        allow_constant: take an image of one value, as a mask may be.

    Returns:
        Float32 (frames, *spatial), contiguous, two or three spatial axes, in the source's units; an ordinary scan has
        one frame, a cine its phases. Its meta holds "affine" (4x4 float64, RAS+), "filename_or_obj", "kind" ("nifti",
        "image" or "dicom"), "stored_dtype", "frames" (how many), "frame_axis" ("", "time", "echo" or
        "frame"), "frame_values" (JSON list of floats, times in ms) and what a writer needs: for NIfTI
        "scl_slope", "scl_inter", "xform_code", "xyz_unit" and, of several frames, "time_unit"; for DICOM
        "enhanced" (0 or 1).

    Raises:
        MissingFileError: where there is no such file.
        InputError: for a file that cannot be read or used; one message that names it, what is wrong and what to do.
    """
    file = Path(path)
    scan = _read(file, allow_constant)
    frames = np.moveaxis(scan.array, -1, 0) if scan.frames > 1 else scan.array[None]
    tensor = torch.from_numpy(np.ascontiguousarray(frames))
    return MetaTensor(tensor, affine=torch.from_numpy(scan.affine), meta=_meta(scan, file))


def list_scans(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output_dir: str | os.PathLike[str] | None = None,
    series: str | int | None = None,
) -> list[str]:
    """List the scans that a file, a folder (with its folders) or a list of both names, sorted within each folder.

    Hidden files and files of an unknown kind in a folder are passed over; a file that is named itself must be of a
    known kind. A scan that is named twice is listed once. DICOM is found by its content; each series, and each kind of
    image in it, is one scan, listed as its first file, or as the folder above where it lies in several folders and is
    clearly one. A series that cannot be read is listed too, for whoever reads it to say why.

    Results of an earlier run are no scans: in a folder, what lies in `output_dir`, or there is called `<name>_sr`
    beside `<name>`, is passed over; so is DICOM there of which a folder or the file is called `<name>_sr`.

    Args:
        path: what is looked at.
        output_dir: folder of the results.
        series: which DICOM series of the folders are wanted, SeriesInstanceUID, SeriesNumber or part of the
            SeriesDescription; then nothing else in the folders is. All without it; they are logged if several.

    Raises:
        MissingFileError: for a path that is not there.
        InputError: for a file of an unknown kind, where there is no scan at all, or no such series.
    """
    given: Iterable[str | os.PathLike[str]] = [path] if isinstance(path, (str, os.PathLike)) else path
    found: dict[Path, StackFiles | None] = {}  # with the stacks of folders, among which `series` chooses
    named = set()
    for entry in given:
        place = Path(entry)
        if place.is_dir():
            found |= _scans_of(place, output_dir)
        else:
            scan = _first_of_its_stack(place) if _format_of(place) is _DICOM else place
            named.add(scan)
            found.setdefault(scan)
    stacks = {scan: stack for scan, stack in found.items() if stack is not None}
    if series is not None:
        wanted = named | _chosen(stacks, str(series))
        found = {scan: stack for scan, stack in found.items() if scan in wanted}
    if not found and stacks:
        raise InputError(f"no DICOM series fits {str(series)!r}; there are {_words(stacks.values())}")
    if not found:
        words = ", ".join(map(str, given)) or "an empty list"
        raise InputError(f"{words}: no scan found; known kinds are DICOM (MR images), {', '.join(known_suffixes())}")
    if series is None and len(stacks) > 1:
        logger.info("%d DICOM series: %s", len(stacks), _words(stacks.values()))
    return [str(scan) for scan in found]


def _scans_of(folder: Path, output_dir: str | os.PathLike[str] | None) -> dict[Path, StackFiles | None]:
    """List the scans in a folder and its folders, sorted, results left out; those that are DICOM with their stack."""
    scans: dict[Path, StackFiles | None] = {}
    stacks: list[StackFiles] = []
    for place in folders_in(folder):
        stacks += stacks_in(place)
        files = [entry for entry in entries_in(place) if entry.is_file() and scan_suffix(entry)]
        scans |= {file: None for file in files if not is_dicom(file)}
    scans |= {stack.first(): stack for stack in join_parts(stacks)}
    return {
        scan: stack
        for scan, stack in sorted(scans.items(), key=lambda pair: pair[0])
        if not _is_result(scan if stack is None else stack.path, folder, output_dir)
    }


def _chosen(stacks: Mapping[Path, StackFiles], series: str) -> set[Path]:
    """Return the scans of a series; a number or UID is meant as such before it is part of a description."""
    exact = {scan for scan, stack in stacks.items() if stack.is_series(series)}
    return exact or {scan for scan, stack in stacks.items() if stack.is_described(series)}


def _words(stacks: Iterable[StackFiles]) -> str:
    words = [str(stack) for stack in stacks]
    return "; ".join(words[:_SHOWN_SERIES]) + ("; ..." if len(words) > _SHOWN_SERIES else "")


def _first_of_its_stack(file: Path) -> Path:
    try:
        return stack_files_of(file).first()
    except InputError:  # said when the scan is read
        return file


def _is_result(scan: Path, folder: Path, output_dir: str | os.PathLike[str] | None) -> bool:
    if output_dir is None or not scan.resolve().is_relative_to(Path(output_dir).resolve()):
        return False
    if not folder.resolve().is_relative_to(Path(output_dir).resolve()):
        return True
    ending = scan_suffix(scan)
    if not ending or is_dicom(scan):
        *folders, name = scan.relative_to(folder).parts
        return any(part.endswith("_sr") for part in (*folders, name, name.removesuffix(".gz").rpartition(".")[0]))
    stem = scan.name[: -len(ending)]
    return stem.endswith("_sr") and any(scan.with_name(stem[:-3] + e).exists() for e in (*known_suffixes(), "", ".dcm"))


class ScanReader(ImageReader):
    """A MONAI reader over `read_scan`, for `LoadImage(reader=ScanReader())`.

    It differs from MONAI's own in refusing files that are silently wrong, and in keeping pictures as rows, columns.
    """

    def verify_suffix(self, filename: Sequence[str | os.PathLike[str]] | str | os.PathLike[str]) -> bool:
        """Say whether every file is DICOM, a folder, or ends as a scan of a known kind does."""
        return all(scan_suffix(name) or Path(name).is_dir() or is_dicom(Path(name)) for name in _as_list(filename))

    def read(
        self, data: Sequence[str | os.PathLike[str]] | str | os.PathLike[str], **kwargs: Any
    ) -> tuple[Path, StoredScan]:
        """Read one scan, which may be a folder with one DICOM series; `kwargs` are MONAI's and not used.

        Raises:
            InputError: as `read_scan`, and for more than one file, which MONAI would stack as channels.
        """
        names = _as_list(data)
        if len(names) != 1:
            raise InputError(f"one scan at a time can be read, got {len(names)}: {', '.join(map(str, names))}")
        file = Path(names[0])
        return file, _read(file, allow_constant=False)

    def get_data(self, img: tuple[Path, StoredScan]) -> tuple[np.ndarray, dict[str, Any]]:
        """Return the array (*spatial) or (*spatial, frames), and its meta data in MONAI's form.

        With `LoadImage(ensure_channel_first=True)` the frames are the channels, as in `read_scan`.
        """
        file, scan = img
        meta = _meta(scan, file)
        meta["affine"] = scan.affine.copy()
        meta["original_affine"] = scan.affine.copy()
        meta["spatial_shape"] = np.asarray(scan.spatial_shape)
        meta["original_channel_dim"] = "no_channel" if scan.frames == 1 else -1
        return scan.array, meta


def _as_list(names: Sequence[str | os.PathLike[str]] | str | os.PathLike[str]) -> list[str | os.PathLike[str]]:
    return [names] if isinstance(names, (str, os.PathLike)) else list(names)


def _meta(scan: StoredScan, file: Path) -> dict[str, Any]:
    return {
        "filename_or_obj": str(file),
        "space": "RAS",
        "kind": scan.kind,
        "stored_dtype": scan.stored_dtype,
        "frames": 1,
        "frame_axis": "",
        "frame_values": "[]",
        **scan.header,
    }


def _read(file: Path, allow_constant: bool) -> StoredScan:
    scan = _format_of(file).read(file)
    check_scan(scan, file, allow_constant)
    return scan


def _format_of(file: Path) -> _Format:
    """Find the kind of a file, DICOM by its content and others by name; refuse what is not there, empty or unknown."""
    if not file.exists():
        link = "a link to a file that is not there" if file.is_symlink() else "no such file"
        raise MissingFileError(f"{file}: {link}; check the path")
    if file.is_dir():
        return _DICOM
    suffix = scan_suffix(file)
    if not suffix and not is_named_dicom(file) and not is_dicom(file):
        raise InputError(f"{file}: not a kind of file that can be read; known are DICOM, {', '.join(known_suffixes())}")
    try:
        with file.open("rb") as stream:
            empty = not stream.read(1)
    except OSError as err:
        raise InputError(f"{file}: cannot be opened ({err.strerror}); check who may read it") from err
    if empty:
        raise InputError(f"{file}: the file is empty (0 bytes); copy or download it again")
    if is_dicom(file):
        return _DICOM
    if not suffix:
        raise InputError(f"{file}: not DICOM, whatever its name says; convert or export it again")
    return next(known for known in _FORMATS if suffix in known.suffixes)
