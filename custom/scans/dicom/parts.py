"""A series in several folders: some exports make a folder for each slice or phase."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from custom.errors import InputError
from custom.scans.dicom.arrange import arrange
from custom.scans.dicom.fields import shown
from custom.scans.dicom.headers import ImageFile
from custom.scans.dicom.kinds import kind_key
from custom.scans.dicom.stack_files import StackFiles, grouped, identity

__all__ = ["join_parts"]

logger = logging.getLogger(__name__)

_SHOWN_FOLDERS = 5


def join_parts(stacks: Sequence[StackFiles]) -> list[StackFiles]:
    """Join the parts of a series whose files lie in several folders, and log what was joined, or why it was not.

    Parts are joined where it is clear that they are one scan: they are single-frame images of one series and of one
    kind; their folders lie side by side in a folder that holds no other image; no image lies in two of the folders; and
    together the images make one evenly spaced stack. Folders that each hold the whole series are copies of it: each is
    a scan of its own, and nothing is logged.

    Args:
        stacks: all that lie below a folder.

    Returns:
        The stacks; a joined one takes the place of its first part.
    """
    series: dict[tuple[object, ...], list[StackFiles]] = {}
    for stack in stacks:
        first = stack.files[0]
        if first.series_uid and first.frames and not first.multiframe:
            series.setdefault((first.series, kind_key(first.frames[0])), []).append(stack)
    below: dict[Path, list[StackFiles]] = {}
    for stack in stacks:
        for folder in stack.path.parents:
            below.setdefault(folder, []).append(stack)
    instead: dict[int, StackFiles] = {}
    for parts in series.values():
        folders = sorted({part.folder for part in parts})
        if len(folders) == 1 or _are_copies(parts, folders):
            continue
        try:
            joined = _joined(parts, folders, below)
        except InputError as err:
            logger.warning(
                "%s lies in %d folders (%s), which are read as scans of their own: %s. If they are one scan, put its "
                "files into one folder",
                _series(parts),
                len(folders),
                _some(folders),
                err,
            )
            continue
        logger.info("%s: %s lies in %d folders and is read as one scan", joined.folder, _series(parts), len(folders))
        instead.update({id(part): joined for part in parts})
    return list({id(found): found for found in (instead.get(id(stack), stack) for stack in stacks)}.values())


def _joined(
    parts: Sequence[StackFiles], folders: Sequence[Path], below: Mapping[Path, Sequence[StackFiles]]
) -> StackFiles:
    """Join parts.

    Args:
        parts: of one series, in several folders.
        folders: these, sorted.
        below: all stacks below each folder.

    Raises:
        InputError: with the reason why it is not clear that they are one scan.
    """
    above = folders[0].parent
    if any(folder.parent != above for folder in folders):
        raise InputError("they do not lie side by side")
    mine = {id(part) for part in parts}
    others = [stack for stack in below[above] if id(stack) not in mine]
    if others:
        raise InputError(f"{above} holds other images too ({_some([stack.path for stack in others])})")
    files = sorted((file for part in parts for file in part.files), key=lambda file: file.path)
    if len({identity(file) for file in files}) < len(files):
        raise InputError("some images lie in several of them")
    groups = grouped(files)
    if len(groups) > 1:
        raise InputError("together they are several stacks")
    numbers = frozenset(number for part in parts for number in part.numbers)
    problem = next((part.problem for part in parts if part.problem), "")
    beside = next((part.beside for part in parts if part.beside), "")
    joined = StackFiles(tuple(files), above.resolve().name, problem, beside, numbers, above)
    arrange(files, numbers)
    return joined


def _are_copies(parts: Sequence[StackFiles], folders: Sequence[Path]) -> bool:
    held = [{identity(file) for part in parts if part.folder == folder for file in part.files} for folder in folders]
    return all(identities == held[0] for identities in held)


def _series(parts: Sequence[StackFiles]) -> str:
    first: ImageFile = parts[0].files[0]
    return f"series {shown(first.series_number or first.series_uid)}"


def _some(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths[:_SHOWN_FOLDERS])) + (", ..." if len(paths) > _SHOWN_FOLDERS else "")
