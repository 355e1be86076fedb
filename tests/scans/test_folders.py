"""Listing folders: what is in them and below, without what is hidden and without links."""

from __future__ import annotations

from pathlib import Path

import pytest

from custom.errors import InputError
from custom.scans.folders import entries_in, folders_in


def test_hidden_entries_and_links_to_folders_are_left_out(tmp_path: Path) -> None:
    for folder in ("b/c", "a", ".hidden/d"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "a" / "back").symlink_to(tmp_path)
    assert [entry.name for entry in entries_in(tmp_path)] == ["a", "b", "file"]
    assert [str(folder.relative_to(tmp_path)) for folder in folders_in(tmp_path)] == [".", "a", "b", "b/c"]


def test_what_cannot_be_listed_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: the folder cannot be listed"):
        entries_in(tmp_path / "file")
