"""Reading scans: one function for every kind of file, and a MONAI reader over it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import ImageReader, MetaTensor

from custom.data.nifti import NIFTI_SUFFIXES, check_nifti_header, read_nifti
from custom.data.pictures import PICTURE_SUFFIXES, check_picture_header, read_picture
from custom.data.scan import StoredScan, check_scan
from custom.errors import InputError, MissingFileError

__all__ = ["ScanReader", "check_header", "known_suffixes", "list_scans", "read_scan", "scan_suffix"]


@dataclass(frozen=True)
class _Format:
    """A kind of file: how it is named, read, and looked at without reading its voxels."""

    suffixes: tuple[str, ...]
    read: Callable[[Path], StoredScan]
    check_header: Callable[[Path], None]


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

    Raises:
        MissingFileError: where there is no such file.
        InputError: for anything else, naming the file.
    """
    file = Path(path)
    _format_of(file).check_header(file)


def read_scan(path: str | os.PathLike[str], allow_constant: bool = False) -> MetaTensor:
    """Read a scan and check it.

    Args:
        path: NIfTI (.nii, .nii.gz) or a picture (.png, .jpg, .jpeg).
        allow_constant: take an image of one value, as a mask may be.

    Returns:
        Float32 (frames, *spatial), contiguous, two or three spatial axes, in the source's units; an ordinary scan has
        one frame, a cine its phases. Its meta holds "affine" (4x4 float64, RAS+), "filename_or_obj", "kind" ("nifti"
        or "image"), "stored_dtype", "frames" (how many), "frame_axis" ("", "time", "echo" or "frame"), "frame_values"
        (JSON list of floats, times in ms) and what a writer needs: for NIfTI "scl_slope", "scl_inter", "xform_code",
        "xyz_unit" and, of several frames, "time_unit".

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
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], output_dir: str | os.PathLike[str] | None = None
) -> list[str]:
    """List the scans that a file, a folder (with its folders) or a list of both names, sorted within each folder.

    Hidden files and files of an unknown kind in a folder are passed over; a file that is named itself must be of a
    known kind. A scan that is named twice is listed once. Results of an earlier run are no scans: in a folder, what
    lies in `output_dir`, or there is called `<name>_sr` beside `<name>`, is passed over.

    Raises:
        MissingFileError: for a path that is not there.
        InputError: for a file of an unknown kind, or where there is no scan at all.
    """
    given: Iterable[str | os.PathLike[str]] = [path] if isinstance(path, (str, os.PathLike)) else path
    found: dict[str, None] = {}
    for entry in given:
        place = Path(entry)
        if place.is_dir():
            scans = _scans_in(place)
            found.update(dict.fromkeys(str(scan) for scan in scans if not _is_result(scan, place, output_dir)))
        else:
            _format_of(place)
            found[str(place)] = None
    if not found:
        words = ", ".join(map(str, given)) or "an empty list"
        raise InputError(f"{words}: no scan found; known kinds are {', '.join(known_suffixes())}")
    return list(found)


def _is_result(scan: Path, folder: Path, output_dir: str | os.PathLike[str] | None) -> bool:
    if output_dir is None or not scan.resolve().is_relative_to(Path(output_dir).resolve()):
        return False
    if not folder.resolve().is_relative_to(Path(output_dir).resolve()):
        return True
    ending = scan_suffix(scan)
    stem = scan.name[: -len(ending)]
    return stem.endswith("_sr") and any(scan.with_name(stem[:-3] + e).exists() for e in known_suffixes())


class ScanReader(ImageReader):
    """A MONAI reader over `read_scan`, for `LoadImage(reader=ScanReader())`.

    It differs from MONAI's own in refusing files that are silently wrong, and in keeping pictures as rows, columns.
    """

    def verify_suffix(self, filename: Sequence[str | os.PathLike[str]] | str | os.PathLike[str]) -> bool:
        """Say whether every file name ends as a scan of a known kind does."""
        return all(scan_suffix(name) for name in _as_list(filename))

    def read(
        self, data: Sequence[str | os.PathLike[str]] | str | os.PathLike[str], **kwargs: Any
    ) -> tuple[Path, StoredScan]:
        """Read one scan; `kwargs` are MONAI's and not used.

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
    """Find the kind of a file by its name; refuse what is not there, empty or unknown."""
    if not file.exists():
        link = "a link to a file that is not there" if file.is_symlink() else "no such file"
        raise MissingFileError(f"{file}: {link}; check the path")
    if file.is_dir():
        raise InputError(f"{file}: a folder, where a file is needed")
    suffix = scan_suffix(file)
    if not suffix:
        raise InputError(f"{file}: not a kind of file that can be read; known are {', '.join(known_suffixes())}")
    try:
        with file.open("rb") as stream:
            empty = not stream.read(1)
    except OSError as err:
        raise InputError(f"{file}: cannot be opened ({err.strerror}); check who may read it") from err
    if empty:
        raise InputError(f"{file}: the file is empty (0 bytes); copy or download it again")
    return next(known for known in _FORMATS if suffix in known.suffixes)


def _scans_in(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as err:
        raise InputError(f"{folder}: the folder cannot be listed ({err.strerror}); check who may read it") from err
    found: list[Path] = []
    for entry in entries:
        if entry.name.startswith("."):
            continue
        # A link to a folder is not followed: it may lead back here.
        if entry.is_dir() and not entry.is_symlink():
            found += _scans_in(entry)
        elif entry.is_file() and scan_suffix(entry):
            found.append(entry)
    return found
