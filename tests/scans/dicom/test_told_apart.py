"""Images that look like one scan and are not, and others that are one although something differs."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from dicom_checks import check_read, find_stacks, stack_of
from dicom_files import Layout, content, write_classic, write_enhanced
from pydicom.dataset import Dataset

from custom.scans import list_scans
from custom.scans.dicom.pixels import read_stack
from custom.scans.dicom.writer import write_dicom


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


def test_one_sop_uid_on_different_images_drops_none(tmp_path: Path) -> None:
    def one_uid(image: Dataset, *_: int) -> Dataset:
        image.SOPInstanceUID = "1.2.3"
        image.SeriesInstanceUID = "1.2.4"
        return image

    write_classic(tmp_path, Layout(), series_number=1, change=one_uid)
    write_classic(tmp_path, Layout(), 2, image_type=("ORIGINAL", "PRIMARY", "P", "NONE"), change=one_uid)
    assert [len(stack.frames) for stack in find_stacks(tmp_path)] == [4, 4]


def test_echo_times_that_differ_by_rounding_do_not_tear_a_cine(tmp_path: Path) -> None:
    def wobbling(image: Dataset, k: int, t: int) -> Dataset:
        image.EchoTime = 1.43 + 0.01 * (k % 2)
        return image

    layout = Layout(frames=3)
    write_classic(tmp_path / "cine", layout, change=wobbling)
    np.testing.assert_array_equal(read_stack(stack_of(tmp_path / "cine")).array, content(layout))


def test_a_number_is_a_series_before_it_is_part_of_a_description(tmp_path: Path) -> None:
    write_classic(tmp_path, Layout(), series_number=2, description="FLAIR")
    write_classic(tmp_path, Layout(), series_number=7, description="T2 TSE")
    assert [scan.path.name[:6] for scan in list_scans(tmp_path, series=2)] == ["IM-002"]
    assert [scan.path.name[:6] for scan in list_scans(tmp_path, series="t2")] == ["IM-007"]


def test_files_too_short_for_dicom_are_mentioned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    *_, last = write_classic(tmp_path / "in")
    last.rename(tmp_path / "in" / "IM5")
    (tmp_path / "in" / "IM5").write_bytes((tmp_path / "in" / "IM5").read_bytes()[:100])
    (tmp_path / "in" / "notes.txt").write_text("short too")
    with caplog.at_level(logging.WARNING):
        find_stacks(tmp_path / "in")
    assert "too short to be DICOM, or cannot be opened, and therefore not read: IM5\n" in caplog.text
    assert "notes" not in caplog.text


def test_temporal_positions_without_times_are_no_times(tmp_path: Path) -> None:
    def numbered(image: Dataset, k: int, t: int) -> Dataset:
        del image.TriggerTime
        image.TemporalPositionIdentifier = t + 1
        return image

    write_classic(tmp_path / "in", Layout(frames=3), change=numbered)
    stack = stack_of(tmp_path / "in")
    assert (stack.frame_axis, stack.frame_values) == ("frame", (0.0, 1.0, 2.0))


def test_times_of_an_enhanced_cine_are_kept_in_single_files(tmp_path: Path) -> None:
    layout = Layout(frames=3)
    write_enhanced(tmp_path / "cine.dcm", layout)
    source = stack_of(tmp_path / "cine.dcm")
    written = write_dicom(content(layout), source.affine, source, tmp_path / "out", form="classic")
    result = stack_of(written)
    assert result.frame_axis == source.frame_axis == "time"
    assert result.frame_values == pytest.approx(source.frame_values)
    np.testing.assert_array_equal(read_stack(result).array, content(layout))


def test_results_in_folders_with_dots_are_no_input(tmp_path: Path) -> None:
    write_classic(tmp_path / "1.2.840.5")
    write_classic(tmp_path / "1.2.840.5_sr")
    assert {scan.path.parent.name for scan in list_scans(tmp_path, output_dir=tmp_path)} == {"1.2.840.5"}


def test_magnitude_and_phase_are_two_scans(tmp_path: Path) -> None:
    def phase(data: Dataset, k: int, t: int) -> Dataset:
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID + ".9"
        return data

    write_classic(tmp_path / "a", image_type=("ORIGINAL", "PRIMARY", "M", "ND"))
    second = write_classic(tmp_path / "b", image_type=("ORIGINAL", "PRIMARY", "P", "ND"), change=phase)
    for file in second:
        shutil.move(file, tmp_path / "a" / f"P{file.name}")
    stacks = find_stacks(tmp_path / "a")
    assert [len(stack.files) for stack in stacks] == [4, 4]
    assert sorted(scan.name for scan in list_scans(tmp_path / "a")) == ["a_3_magnitude1", "a_3_phase2"]
    for stack in stacks:
        check_read(stack, Layout())


def test_a_copy_of_a_file_is_no_repeat(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    files = write_classic(tmp_path)
    shutil.copy(files[1], tmp_path / "a copy.dcm")
    check_read(stack_of(tmp_path), Layout())
    check_read(stack_of(tmp_path / "a copy.dcm"), Layout())


def test_one_uid_for_all_images_does_not_lose_them(tmp_path: Path) -> None:
    """As some anonymisers write it."""

    def same(data: Dataset, k: int, t: int) -> Dataset:
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
        return data

    write_classic(tmp_path, Layout(frames=2), change=same)
    check_read(stack_of(tmp_path), Layout(frames=2))
