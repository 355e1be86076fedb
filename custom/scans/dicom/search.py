"""DICOM stacks in folders: of one file, and all that lie below a folder."""

from __future__ import annotations

from pathlib import Path

from custom.errors import InputError
from custom.scans.dicom.headers import read_header
from custom.scans.dicom.parts import join_parts
from custom.scans.dicom.stack_files import FolderContent, StackFiles, file_stem, identity, look_into
from custom.scans.folders import folders_in

__all__ = ["DicomSearch"]


class DicomSearch:
    """A search that looks into each folder once, however many files of it are asked for."""

    def __init__(self) -> None:
        self._contents: dict[Path, FolderContent] = {}

    def below(self, folder: Path) -> FolderContent:
        """Find all that a folder and its folders hold; series in several folders are joined, see `join_parts`.

        Raises:
            InputError: where a folder cannot be listed.
        """
        found = []
        for place in folders_in(folder):
            if place not in self._contents:
                self._contents[place] = look_into(place)
            found.append(self._contents[place])
        return FolderContent(
            join_parts([stack for content in found for stack in content.stacks]),
            {path: header for content in found for path, header in content.headers.items()},
            [file for content in found for file in content.others],
        )

    def stack_of(self, file: Path) -> StackFiles:
        """Find the files of the stack that a DICOM file belongs to: those of its folder, series and kind of image.

        Raises:
            InputError: for a file that is no MR image, and where the folder cannot be listed.
        """
        content = self._contents.get(file.parent)
        header = content.headers.get(file) if content else None
        header = header or read_header(file)
        if header.skipped:
            raise InputError(f"{file}: {header.skipped}, so there is no scan in it; give an MR image")
        if header.multiframe or header.problem:
            return StackFiles((header,), file_stem(file), header.problem)
        if content is None:
            content = self._contents[file.parent] = look_into(file.parent, [header])
        found = content.by_identity.get(identity(header))
        if found is None:
            raise InputError(f"{file}: not found among the files of its folder; hidden files are not read, rename it")
        return found
