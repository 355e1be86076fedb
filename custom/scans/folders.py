"""Listing folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from custom.errors import InputError

__all__ = ["entries_in", "folders_in"]


def entries_in(folder: Path) -> list[Path]:
    """Return the files and folders in a folder, sorted by name, without hidden ones.

    Raises:
        InputError: for a folder that cannot be listed.
    """
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as err:
        raise InputError(f"{folder}: the folder cannot be listed ({err.strerror}); check who may read it") from err


def folders_in(folder: Path) -> Iterator[Path]:
    """Yield a folder and all folders in it, sorted, without hidden ones and links.

    Raises:
        InputError: for a folder that cannot be listed.
    """
    yield folder
    for entry in entries_in(folder):
        # A link to a folder is not followed: it may lead back here.
        if entry.is_dir() and not entry.is_symlink():
            yield from folders_in(entry)
