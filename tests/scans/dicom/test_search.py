"""DICOM searched by file: the series of its folder, or itself where it is a stack alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicom_files import write_classic, write_enhanced

from custom.errors import InputError
from custom.scans.dicom import search as search_module
from custom.scans.dicom.search import DicomSearch


def test_each_folder_is_looked_into_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [*write_classic(tmp_path / "a"), *write_classic(tmp_path / "b", series_number=4)]
    seen: list[str] = []
    look_into = search_module.look_into
    monkeypatch.setattr(
        search_module, "look_into", lambda folder, *known: seen.append(folder.name) or look_into(folder)
    )
    search = DicomSearch()
    found = [search.stack_of(file) for file in files]
    assert [stack.name for stack in found] == ["a"] * 4 + ["b"] * 4
    assert search.below(tmp_path).stacks == [found[0], found[-1]]
    assert seen == ["a", "b", tmp_path.name]


def test_a_multi_frame_file_is_a_stack_by_itself(tmp_path: Path) -> None:
    write_classic(tmp_path)
    stack = DicomSearch().stack_of(write_enhanced(tmp_path / "whole.dcm"))
    assert (stack.name, len(stack.files)) == ("whole", 1)


def test_a_hidden_file_belongs_to_no_stack(tmp_path: Path) -> None:
    hidden = tmp_path / ".hidden.dcm"
    write_classic(tmp_path)[0].rename(hidden)
    with pytest.raises(InputError, match=r"\.hidden\.dcm: not found among the files of its folder; hidden files"):
        DicomSearch().stack_of(hidden)
