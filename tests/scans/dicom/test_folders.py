"""DICOM found in folders: series told apart, chosen, listed; what is no scan is passed over."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_checks import stack_of
from dicom_files import Layout, content, write_classic, write_enhanced
from pydicom.dataset import Dataset

from custom.errors import InputError
from custom.scans import list_scans, read_scan


@pytest.fixture
def two_series(tmp_path: Path) -> Path:
    """Two series in one folder whose slices lie between each other, and an Enhanced file."""
    folder = tmp_path / "study"
    write_classic(folder, Layout(), series_number=3, description="T2 sag")
    write_classic(folder, Layout(shape=(6, 5, 3), origin=(-20.5, 31.25, 9.0)), series_number=8, description="PD sag")
    write_enhanced(folder / "whole.dcm", Layout(frames=2), series_number=11, description="cine")
    return folder


def test_series_are_told_apart_and_named(two_series: Path) -> None:
    scans = list_scans(two_series)
    assert [(scan.name, len(scan.dicom_stack().frames)) for scan in scans] == [
        ("study_3", 4),
        ("study_8", 3),
        ("whole", 4),
    ]


def test_scans_are_listed_by_their_first_slice(two_series: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scans = list_scans(two_series)
    # The first slice has the highest number in these files.
    assert [scan.path.name for scan in scans] == ["IM-003-0004.dcm", "IM-008-0003.dcm", "whole.dcm"]
    assert [tuple(read_scan(scan).shape) for scan in scans] == [(1, 6, 5, 4), (1, 6, 5, 3), (2, 6, 5, 4)]
    for words in ("3 DICOM series", "series 3 'T2 sag' (magnitude), 4 files", "series 8 'PD sag'", "series 11 'cine'"):
        assert words in caplog.text


@pytest.mark.parametrize("series", [8, "8", "pd", "1.2.826.0.1.3680043.8.498.1.8"])
def test_series_is_chosen(two_series: Path, series: str | int) -> None:
    assert [scan.path.name for scan in list_scans(two_series, series=series)] == ["IM-008-0003.dcm"]


def test_part_of_a_description_chooses_all_that_have_it(two_series: Path) -> None:
    assert len(list_scans(two_series, series="sag")) == 2


def test_unknown_series_is_an_error_with_the_list(two_series: Path) -> None:
    with pytest.raises(InputError, match=r"no DICOM series fits '99'; there are .*T2 sag.*PD sag.*cine"):
        list_scans(two_series, series="99")


def test_folder_of_several_series_is_no_scan(two_series: Path) -> None:
    with pytest.raises(InputError, match=r"the folder holds 3 series: .*choose one by --series"):
        read_scan(two_series)


def test_every_file_stands_for_its_stack(two_series: Path) -> None:
    for file in two_series.glob("IM-003*"):
        assert stack_of(file).series_uid.endswith(".3")
    scans = list_scans(sorted(two_series.iterdir()))
    assert len(scans) == 3


def test_what_is_no_scan_is_passed_over_with_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    def of_class(uid: str) -> object:
        def change(data: Dataset, k: int, t: int) -> Dataset:
            data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = uid
            return data

        return change

    one = Layout(shape=(6, 5, 1))
    write_classic(tmp_path, one, series_number=1, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))
    write_classic(tmp_path, one, series_number=2, description="3-plane scout")
    write_classic(tmp_path, one, series_number=5, change=of_class("1.2.840.10008.5.1.4.1.1.7"))
    write_classic(tmp_path, one, series_number=6, change=of_class("1.2.840.10008.5.1.4.1.1.88.33"))
    write_classic(tmp_path, one, series_number=7, change=of_class("1.2.840.10008.1.3.10"))
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="no scan found"):
        list_scans(tmp_path)
    write_classic(tmp_path, Layout())
    assert [scan.path.name for scan in list_scans(tmp_path)] == ["IM-003-0004.dcm"]
    assert "a localiser (2)" in caplog.text
    assert "not an MR image (Secondary Capture Image Storage) (1)" in caplog.text
    assert "a DICOMDIR (1)" in caplog.text
    with pytest.raises(InputError, match="a localiser, so there is no scan in it"):
        read_scan(tmp_path / "IM-001-0001.dcm")
    np.testing.assert_array_equal(read_scan(tmp_path)[0].numpy(), content(Layout()))


def test_names_and_folders_do_not_matter(tmp_path: Path) -> None:
    files = write_classic(tmp_path / "a" / "b")
    for n, file in enumerate(files):
        file.rename(file.with_name(f"slice {n}" if n else "picture.png"))
    nib.save(nib.Nifti1Image(np.arange(60.0).reshape(3, 4, 5), np.eye(4)), tmp_path / "a" / "z.nii.gz")
    write_classic(tmp_path / ".hidden")
    assert [scan.path for scan in list_scans(tmp_path)] == [tmp_path / "a/b/picture.png", tmp_path / "a/z.nii.gz"]
    assert read_scan(tmp_path / "a" / "b").shape == (1, 6, 5, 4)


def test_broken_series_does_not_hide_the_others(two_series: Path) -> None:
    (two_series / "IM-003-0003.dcm").unlink()
    scans = list_scans(two_series)
    assert len(scans) == 3
    failed = []
    for scan in scans:
        try:
            read_scan(scan)
        except InputError as err:
            failed.append(str(err))
    assert len(failed) == 1
    assert "1 of 4 slices are missing" in failed[0]


def test_results_are_no_input(tmp_path: Path) -> None:
    write_classic(tmp_path / "knee")
    shutil.copytree(tmp_path / "knee", tmp_path / "knee_sr")
    write_enhanced(tmp_path / "x_sr.dcm")
    shutil.copytree(tmp_path / "knee", tmp_path / "out" / "knee_sr")
    write_enhanced(tmp_path / "x.dcm", series_number=5)
    there = [tmp_path / "knee/IM-003-0004.dcm", tmp_path / "x.dcm"]
    assert [scan.path for scan in list_scans(tmp_path, output_dir=tmp_path)] == there
    beside = list_scans(tmp_path, output_dir=tmp_path / "out")
    assert [scan.path.parent.name for scan in beside] == ["knee", "knee_sr", tmp_path.name, tmp_path.name]
    # A result that is named itself is meant.
    assert len(list_scans(tmp_path / "knee_sr", output_dir=tmp_path)) == 1
