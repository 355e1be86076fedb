"""Files of one folder: images that look like one scan and are several, and others that are one although they differ."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from dicom_checks import check_read, find_stacks, stack_of
from dicom_files import Layout, content, write_classic
from pydicom.dataset import Dataset

from custom.scans import list_scans
from custom.scans.dicom.pixels import read_stack


@pytest.mark.parametrize("keyword", ["PatientID", "StudyInstanceUID"])
def test_patients_and_studies_are_never_one_scan(tmp_path: Path, keyword: str) -> None:
    """Not even where the series has no UID, as anonymised files may come."""

    def of(value: str):  # type: ignore[no-untyped-def]
        def change(image: Dataset, *_: int) -> Dataset:
            image.SeriesInstanceUID = ""
            setattr(image, keyword, value)
            return image

        return change

    layouts = [Layout(), Layout(origin=(-20.5, 31.25, 23.0))]  # the second goes on where the first ends
    for number, layout in enumerate(layouts, start=1):
        write_classic(tmp_path, layout, series_number=number, change=of(f"1.2.{number}"))
    stacks = find_stacks(tmp_path)
    assert [len(stack.frames) for stack in stacks] == [4, 4]
    assert [{frame.path.name[:6] for row in stack.frames for frame in row} for stack in stacks] == [
        {"IM-001"},
        {"IM-002"},
    ]


def test_different_images_of_one_uid_are_kept(tmp_path: Path) -> None:
    """As some anonymisers write it: phases of a slice, and magnitude and phase of one series."""

    def one_uid(image: Dataset, *_: int) -> Dataset:
        image.SOPInstanceUID = "1.2.3"
        image.SeriesInstanceUID = "1.2.4"
        return image

    layout = Layout(frames=2)
    write_classic(tmp_path, layout, series_number=1, change=one_uid)
    write_classic(tmp_path, layout, 2, image_type=("ORIGINAL", "PRIMARY", "P", "NONE"), change=one_uid)
    stacks = find_stacks(tmp_path)
    assert len(stacks) == 2
    for stack in stacks:
        check_read(stack, layout)


def test_echo_times_that_differ_by_rounding_do_not_tear_a_cine(tmp_path: Path) -> None:
    def wobbling(image: Dataset, k: int, t: int) -> Dataset:
        image.EchoTime = 1.43 + 0.01 * (k % 2)
        return image

    layout = Layout(frames=3)
    write_classic(tmp_path / "cine", layout, change=wobbling)
    np.testing.assert_array_equal(read_stack(stack_of(tmp_path / "cine")).array, content(layout))


def test_echoes_with_phases_are_one_scan_for_each_echo(tmp_path: Path) -> None:
    def echo(data: Dataset, k: int, t: int) -> Dataset:
        data.EchoTime = "5" if t < 2 else "12"
        return data

    write_classic(tmp_path, Layout(frames=4), change=echo)
    stacks = find_stacks(tmp_path)
    assert [(len(s.frames[0]), s.frame_axis) for s in stacks] == [(2, "time")] * 2
    values = [read_stack(s).array[0, 0, 0].tolist() for s in stacks]
    assert sorted(values) == [[0.0, 1000.0], [2000.0, 3000.0]]
    assert len({scan.name for scan in list_scans(tmp_path)}) == 2


def test_files_too_short_for_dicom_are_mentioned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    *_, last = write_classic(tmp_path / "in")
    last.rename(tmp_path / "in" / "IM5")
    (tmp_path / "in" / "IM5").write_bytes((tmp_path / "in" / "IM5").read_bytes()[:100])
    (tmp_path / "in" / "notes.txt").write_text("short too")
    with caplog.at_level(logging.WARNING):
        find_stacks(tmp_path / "in")
    assert "too short to be DICOM, or cannot be opened, and therefore not read: IM5\n" in caplog.text
    assert "notes" not in caplog.text


def test_a_copy_of_a_file_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    files = write_classic(tmp_path)
    shutil.copy(files[1], tmp_path / "a copy.dcm")
    check_read(stack_of(tmp_path), Layout())
    assert "a copy of another file (1)" in caplog.text
    check_read(stack_of(tmp_path / "a copy.dcm"), Layout())
