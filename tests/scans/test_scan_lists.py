"""Scans of folders and lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from custom.errors import InputError, MissingFileError
from custom.scans import list_scans


def test_folder_is_listed_with_its_folders(tmp_path: Path) -> None:
    for name in ["b.nii.gz", "a.nii", "sub/c.PNG", ".hidden.nii", ".hidden/d.nii", "notes.txt", "sub/e.json"]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    scans = list_scans(tmp_path)
    assert [scan.path for scan in scans] == [tmp_path / name for name in ("a.nii", "b.nii.gz", "sub/c.PNG")]
    assert [scan.format for scan in scans] == ["nifti", "nifti", "picture"]
    assert [scan.name for scan in scans] == ["a", "b", "c"]
    assert [scan.path for scan in list_scans(str(tmp_path / "sub"))] == [tmp_path / "sub/c.PNG"]


def test_list_keeps_its_order_and_forgets_repeats(tmp_path: Path) -> None:
    for name in ("b.nii", "a.nii"):
        (tmp_path / name).write_text("x")
    given = [tmp_path / "b.nii", str(tmp_path), tmp_path / "b.nii"]
    assert [scan.path for scan in list_scans(given)] == [tmp_path / "b.nii", tmp_path / "a.nii"]


def test_nothing_to_list_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"no scan found; known kinds are DICOM"):
        list_scans(tmp_path)
    with pytest.raises(InputError, match="empty list: no scan found"):
        list_scans([])
    with pytest.raises(InputError, match=r"notes\.txt: not a kind of file"):
        list_scans(tmp_path / "notes.txt")
    with pytest.raises(MissingFileError, match="gone: no such file"):
        list_scans(tmp_path / "gone")
