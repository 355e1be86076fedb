"""Patterns with fields, such as "{subject}/anat/{subject}_T1w.nii.gz", which find the files of a data set.

A pattern that ends in "/" finds folders. Each such folder is one scan: a DICOM stack.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from custom.scans.folders import entries_in

__all__ = ["FoundFile", "fields_of", "fill_fields", "find_files"]

_FIELD = re.compile(r"\{([a-z_]+)(\??)\}")


@dataclass(frozen=True)
class FoundFile:
    """A file that fits a pattern, or a folder that holds one scan.

    Attributes:
        path: the path, below the folder that was searched.
        fields: the text that each field of the pattern stands for.
    """

    path: Path
    fields: dict[str, str]

    @property
    def subject(self) -> str:
        """The subject that the file belongs to."""
        return self.fields["subject"]


def fields_of(pattern: str) -> set[str]:
    """Return the names of the fields of a pattern: {"subject", "slice"} for "{subject}_{slice}.png"."""
    return {name for name, _ in _FIELD.findall(pattern)}


def fill_fields(pattern: str, fields: dict[str, str]) -> str:
    """Replace each field of a pattern by its text in `fields`."""
    return _FIELD.sub(lambda found: fields[found.group(1)], pattern)


def find_files(folder: Path, pattern: str) -> list[FoundFile]:
    """Find what fits a pattern below a folder: files, or folders if the pattern ends in "/"; sorted by path.

    A field stands for one or more characters of one name. A field that comes twice stands for the same text both
    times. {subject} takes as many characters as it can: in "002_S_0295_78.jpeg" the pattern "{subject}_{slice}.jpeg"
    finds the subject 002_S_0295. {subject?} takes as few as it can: "{subject?}_{slice}.jpeg" finds the subject 002.
    Hidden files and folders are left out. Links are not resolved.
    """
    folders = pattern.endswith("/")
    pattern = pattern.rstrip("/")
    whole = re.compile(_expression(pattern, backreferences=True))
    found = []
    for path in _candidates(folder, pattern.split("/"), folders):
        match = whole.fullmatch(path.relative_to(folder).as_posix())
        if match:
            found.append(FoundFile(path, match.groupdict()))
    return found


def _expression(pattern: str, backreferences: bool) -> str:
    """Turn a pattern into a regular expression; the text between the fields is matched literally."""
    pieces = []
    end = 0
    seen: set[str] = set()
    for field in _FIELD.finditer(pattern):
        pieces.append(re.escape(pattern[end : field.start()]))
        name, little = field.groups()
        anything = "[^/]+" if name == "subject" and not little else "[^/]+?"
        if not backreferences:
            pieces.append(anything)
        elif name in seen:
            pieces.append(f"(?P={name})")
        else:
            pieces.append(f"(?P<{name}>{anything})")
        seen.add(name)
        end = field.end()
    pieces.append(re.escape(pattern[end:]))
    return "".join(pieces)


def _candidates(folder: Path, parts: list[str], folders: bool) -> list[Path]:
    """List what may fit, one part of the pattern after the other, so that other folders are not searched."""
    part, rest = parts[0], parts[1:]
    if not _FIELD.search(part):
        entries = [folder / part] if (folder / part).exists() or (folder / part).is_symlink() else []
    else:
        fits = re.compile(_expression(part, backreferences=False))
        entries = [entry for entry in entries_in(folder) if fits.fullmatch(entry.name)]
    if rest:
        return [path for entry in entries if entry.is_dir() for path in _candidates(entry, rest, folders)]
    return [entry for entry in entries if entry.is_dir() == folders]
