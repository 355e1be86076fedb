"""A series in several folders: joined where that is clear, else said."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_checks import find_stacks, stack_of
from dicom_files import Layout, content, save, write_classic

from custom.scans import ResultOptions, list_scans, read_scan, result_path, result_paths, write_result
from custom.scans.dicom.pixels import read_stack

CINE = Layout(frames=3)


def _spread(knee: Path, layout: Layout, folder_of: Callable[[int, int], str], series_number: int = 3) -> Path:
    """Write a series, the file of slice k and frame t into the folder `folder_of(k, t)`, all under one file name."""
    files = write_classic(knee / "whole", layout, series_number)
    for n, file in enumerate(files):
        k, t = divmod(n, layout.frames)
        place = knee / folder_of(k, t)
        place.mkdir(exist_ok=True, parents=True)
        file.rename(place / f"IM{len(list(place.iterdir())):04d}")
    (knee / "whole").rmdir()
    return knee


@pytest.mark.parametrize(
    ("layout", "folder_of"),
    [
        (Layout(), lambda k, t: f"slice{k}"),
        (Layout(), lambda k, t: "ba"[k // 2]),
        (CINE, lambda k, t: f"slice{k}"),
        (CINE, lambda k, t: f"phase{t}"),
        (Layout(frames=2, axis="echo"), lambda k, t: f"echo{t}"),
    ],
    ids=["slices", "halves", "slices of a cine", "phases", "echoes"],
)
def test_folders_of_one_series_are_one_scan(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, layout: Layout, folder_of: Callable[[int, int], str]
) -> None:
    knee = _spread(tmp_path / "in" / "knee", layout, folder_of)
    caplog.set_level(logging.INFO)
    for given in (knee, tmp_path / "in"):
        (scan,) = list_scans(given, output_dir=tmp_path / "in" / "out")
        assert (scan.path, scan.name) == (knee, "knee")
        assert result_path(scan, ResultOptions(tmp_path / "out", root=given)) == tmp_path / "out" / "knee_sr"
    assert "series 3 lies in" in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [scan.path for scan in list_scans(knee, series="3")] == [knee]
    stack = stack_of(knee)
    np.testing.assert_array_equal(read_stack(stack).array, content(layout))
    np.testing.assert_allclose((stack.affine @ (2, 3, 1, 1))[:3], layout.world(2, 3, 1), atol=1e-4)


def test_the_result_of_folders_is_one_folder(tmp_path: Path) -> None:
    knee = _spread(tmp_path / "in" / "knee", CINE, lambda k, t: f"slice{k}")
    other = _spread(tmp_path / "in" / "hip", Layout(), lambda k, t: f"{k}", series_number=4)
    scans = list_scans(tmp_path / "in")
    targets = result_paths(scans, ResultOptions(tmp_path / "out", root=tmp_path / "in"))
    assert targets == [tmp_path / "out" / name for name in ("hip_sr", "knee_sr")]
    assert [scan.path for scan in scans] == [other, knee]
    image = read_scan(knee)
    written = write_result(image, image.affine, image.meta["header"], ResultOptions(tmp_path / "out"))
    assert written == targets[1]
    np.testing.assert_array_equal(read_stack(stack_of(written)).array, content(CINE))


def _another_patient(knee: Path) -> None:
    for file in (knee / "slice0").iterdir():
        image = pydicom.dcmread(file)
        image.PatientID = "another"
        save(image, file)


def _moved_down(knee: Path) -> None:
    (knee / "slice1").rename(knee / "slice0" / "more")


def _one_lost(knee: Path) -> None:
    shutil.rmtree(knee / "slice1")


def _one_twice(knee: Path) -> None:
    shutil.copy(knee / "slice1" / "IM0000", knee / "slice2" / "IM0001")


def _broken(knee: Path) -> None:
    file = knee / "slice1" / "IM0000"
    file.write_bytes(file.read_bytes()[:-20])


BESIDE = {
    "another series": (
        lambda knee: write_classic(knee / "slice1", series_number=9),
        r"holds other images too \(.*slice1",
    ),
    "another patient": (_another_patient, r"holds other images too \(.*slice0"),
    "one lower down": (_moved_down, "they do not lie side by side"),
    "one lost": (_one_lost, r"1 of 4 slices are missing"),
    "one twice": (_one_twice, "some images lie in several of them"),
    "one truncated": (_broken, r"holds other images too \(.*slice1"),
}


@pytest.mark.parametrize("case", BESIDE)
def test_folders_that_are_not_clearly_one_scan_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    change, words = BESIDE[case]
    knee = _spread(tmp_path / "knee", Layout(), lambda k, t: f"slice{k}")
    change(knee)
    scans = list_scans(tmp_path)
    assert len(scans) > 1
    assert knee not in [scan.path for scan in scans]
    (said,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "series 3 lies in" in said
    assert str(knee / "slice2") in said
    assert said.endswith("If they are one scan, put its files into one folder")
    assert re.search(words, said)


def test_copies_of_a_series_are_scans_of_their_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_classic(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert len(list_scans(tmp_path)) == 2
    assert not caplog.records


def test_kinds_of_image_in_folders_of_their_own_are_not_mentioned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for kind in "MP":
        write_classic(tmp_path / kind, image_type=("ORIGINAL", "PRIMARY", kind))
    assert len(find_stacks(tmp_path)) == 2
    assert not caplog.records
