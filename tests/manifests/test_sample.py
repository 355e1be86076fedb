from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from custom.errors import UsageError
from custom.manifests import check_input, chosen_input


@pytest.mark.parametrize("given", [None, "", [], ["a.nii", ""]])
def test_nothing_is_wrong_use(given: Any) -> None:
    with pytest.raises(UsageError, match=r"no input is given.*--input sample"):
        check_input(given)


@pytest.mark.parametrize(
    ("given", "paths"),
    [
        ("a.nii", "a.nii"),
        ("None", "None"),
        (Path("T1#2"), "T1#2"),
        ("./sample", "./sample"),
        (["a", Path("b")], ["a", "b"]),
    ],
)
def test_paths_are_what_is_given(given: Any, paths: str | list[str]) -> None:
    check_input(given)
    assert chosen_input(given, "data") == paths


def test_the_sample_is_taken_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert chosen_input("sample", tmp_path / "data") == str(tmp_path / "data")
    assert chosen_input(None, tmp_path / "data") == str(tmp_path / "data")
    assert not caplog.records
    (tmp_path / "sample").mkdir()
    assert chosen_input("sample", tmp_path / "data") == str(tmp_path / "data")
    assert "give ./sample for what lies here" in caplog.text
