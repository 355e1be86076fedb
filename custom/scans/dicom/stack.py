"""DICOM stacks in folders: what a path stands for, and all that lie below a folder, put in order."""

from __future__ import annotations

import logging
from pathlib import Path

from custom.errors import InputError, MissingFileError
from custom.scans.dicom.frame import DicomStack, Frame
from custom.scans.dicom.headers import read_header
from custom.scans.dicom.parts import join_parts
from custom.scans.dicom.pixels import read_stack
from custom.scans.dicom.stack_files import StackFiles, file_stem, identity, is_named_dicom, stacks_in
from custom.scans.folders import folders_in

__all__ = [
    "DicomStack",
    "Frame",
    "StackFiles",
    "find_stack_files",
    "find_stacks",
    "is_named_dicom",
    "join_parts",
    "read_stack",
    "stack_files_of",
    "stack_of",
    "stacks_in",
]

logger = logging.getLogger(__name__)


def stack_of(path: Path) -> DicomStack:
    """Find and arrange the one stack that a path stands for, from headers alone.

    Args:
        path: a folder that holds exactly one stack (with its folders, see `join_parts`), or a DICOM file: then the
            stack that it belongs to, files of the same folder, series and kind of image.

    Raises:
        MissingFileError: where there is nothing.
        InputError: where there is no stack, or more than one in a folder, or it cannot be put in order.
    """
    if path.is_dir():
        found = find_stack_files(path)
        if len(found) != 1:
            words = "; ".join(map(str, found[:8])) + ("; ..." if len(found) > 8 else "")
            raise InputError(
                f"{path}: the folder holds {len(found)} series: {words}; choose one by --series, or give one of its "
                "files"
            )
        return found[0].arranged()
    return stack_files_of(path).arranged()


def stack_files_of(path: Path) -> StackFiles:
    """Find the files of the stack that a file belongs to.

    Raises:
        MissingFileError: where there is no such file.
        InputError: for a file that is no image, or that cannot be read.
    """
    if not path.exists():
        raise MissingFileError(f"{path}: no such file; check the path")
    own = read_header(path)
    if own.skipped:
        raise InputError(f"{path}: {own.skipped}, so there is no scan in it; give an MR image")
    if own.multiframe or own.problem:
        return StackFiles((own,), file_stem(path), own.problem)
    for found in stacks_in(path.parent, say=False):
        if any(file.path == own.path or identity(file) == identity(own) for file in found.files):
            return found
    raise InputError(f"{path}: not found in its folder again; was it moved?")


def find_stacks(folder: Path) -> list[DicomStack]:
    """Find the stacks in a folder and its folders; what is skipped is logged with the reason.

    Raises:
        InputError: where there is none, or none that can be put in order.
    """
    stacks = []
    problems = []
    for found in find_stack_files(folder):
        try:
            stacks.append(found.arranged())
        except InputError as err:
            logger.warning("skipped: %s", err)
            problems.append(err)
    if not stacks:
        raise problems[0]
    return stacks


def find_stack_files(folder: Path) -> list[StackFiles]:
    """Find the files of each stack in a folder and its folders, readable or not; what is skipped is logged.

    Raises:
        InputError: where there is none.
    """
    found = join_parts([stack for place in folders_in(folder) for stack in stacks_in(place)], say=False)
    if not found:
        raise InputError(f"{folder}: no DICOM image of MR in this folder; check the path")
    return found
