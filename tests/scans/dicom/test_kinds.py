"""Magnitude, phase and other kinds of image in one series."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from dicom_checks import check_read, find_stacks, stack_of
from dicom_files import Layout, write_classic, write_enhanced
from pydicom.dataset import Dataset

from custom.scans import list_scans


def test_magnitude_of_an_enhanced_file_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    types = [("ORIGINAL", "PRIMARY", "M", "NONE"), ("ORIGINAL", "PRIMARY", "P", "NONE")]
    path = write_enhanced(tmp_path / "both.dcm", frame_types=types)
    check_read(stack_of(path), Layout())
    assert "2 kinds of image" in caplog.text
    assert "the magnitude is read" in caplog.text


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
