"""Scans are found once: nothing after that looks for them again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pydicom
import pytest
from dicom_files import Layout, write_classic

from custom.scans import (
    Provenance,
    ResultOptions,
    check_header,
    list_scans,
    read_scan,
    result_paths,
    write_result,
)
from custom.scans.dicom import headers


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each DICOM file is read, from now on: its header alone, or with its pixels."""
    counts: Counter[str] = Counter()
    read_partial = pydicom.filereader.read_partial

    def counted(stream: Any, stop_when: Any = None, **kwargs: Any) -> Any:
        counts[f"{'pixels' if stop_when is None else 'header'} {stream.name}"] += 1
        return read_partial(stream, stop_when, **kwargs)

    monkeypatch.setattr(pydicom.filereader, "read_partial", counted)
    monkeypatch.setattr(headers, "read_partial", counted)
    return counts


@pytest.mark.parametrize("named", [False, True], ids=["folder", "files"])
def test_a_header_is_read_twice_at_most(tmp_path: Path, reads: Counter[str], named: bool) -> None:
    """Of twenty series in one folder, whether the folder is given or each file in it."""
    folder = tmp_path / "in"
    layout = Layout(shape=(2, 2, 3))
    files = [file for series in range(20) for file in write_classic(folder, layout, series_number=series + 1)]
    reads.clear()
    scans = list_scans(files if named else folder, output_dir=tmp_path / "out")
    options = ResultOptions(tmp_path / "out", root=folder)
    assert len(result_paths(scans, options)) == len(scans) == 20
    assert reads == {f"header {file}": 1 for file in files}
    for scan in scans:
        check_header(scan)
        image = read_scan(scan)
        write_result(image, image.affine, image.meta["header"], options, Provenance())
    assert reads == {f"header {file}": 2 for file in files} | {f"pixels {file}": 1 for file in files}


def test_a_path_is_searched_once_each_time(tmp_path: Path, reads: Counter[str]) -> None:
    files = write_classic(tmp_path)
    for path in (tmp_path, files[2]):
        reads.clear()
        check_header(path)
        assert reads == {f"header {file}": 1 for file in files}
