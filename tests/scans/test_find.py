"""Finding scans: of files, folders and lists, each looked for once."""

from __future__ import annotations

import logging
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
from dicom_checks import stack_of
from dicom_files import Layout, content, write_classic, write_enhanced
from pydicom.dataset import Dataset

from custom.errors import InputError, MissingFileError
from custom.scans import ResultOptions, check_header, list_scans, read_scan, result_paths, write_result
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


def test_a_header_is_read_twice_at_most(tmp_path: Path, reads: Counter[str]) -> None:
    """Of twenty series in one folder: once to find, name, check and read each, and once to write a result of it."""
    folder, options = tmp_path / "in", ResultOptions(tmp_path / "out")
    layout = Layout(shape=(2, 2, 2))
    files = [file for number in range(20) for file in write_classic(folder, layout, series_number=number)]
    for given in (files, folder):
        reads.clear()
        scans = list_scans(given, output_dir=tmp_path / "out")
        assert len(result_paths(scans, options)) == len(scans) == 20
        assert reads == {f"header {file}": 1 for file in files}
    reads.clear()
    for scan in scans[:2]:
        check_header(scan)
        image = read_scan(scan)
        assert reads.keys() == {f"pixels {file}" for file in scan.dicom_stack().files}
        write_result(image, image.affine, image.meta["header"], options)
        assert reads == {f"{what} {file}": 1 for what in ("header", "pixels") for file in scan.dicom_stack().files}
        reads.clear()


def test_a_path_is_searched_once_each_time(tmp_path: Path, reads: Counter[str]) -> None:
    files = write_classic(tmp_path)
    for path in (tmp_path, files[2]):
        reads.clear()
        check_header(path)
        assert reads == {f"header {file}": 1 for file in files}


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


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.png", "a.dcm", "a"])
def test_pipes_and_devices_are_refused_unopened(tmp_path: Path, name: str) -> None:
    """Opening the pipe would wait for somebody to write into it."""
    os.mkfifo(tmp_path / name)
    (tmp_path / f"device_{name}").symlink_to("/dev/zero")
    for path in (tmp_path / name, tmp_path / f"device_{name}"):
        with pytest.raises(InputError, match=rf"{name}: a pipe, a socket or a device, where a file is needed"):
            list_scans(path)
    (tmp_path / "b.nii").write_text("x")
    assert [scan.path.name for scan in list_scans(tmp_path)] == ["b.nii"]


def test_an_empty_folder_beside_others_is_a_failure_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_text("x")
    (tmp_path / "empty").mkdir()
    scan, empty = list_scans([tmp_path / "empty", tmp_path / "a.nii"])
    assert scan.path.name == "a.nii"
    with pytest.raises(InputError, match="empty: no scan found in this folder"):
        read_scan(empty)


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


def test_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"gone\.nii: no such file"):
        read_scan(tmp_path / "gone.nii")


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


def test_a_number_is_a_series_before_it_is_part_of_a_description(tmp_path: Path) -> None:
    write_classic(tmp_path, Layout(), series_number=2, description="FLAIR")
    write_classic(tmp_path, Layout(), series_number=7, description="T2 TSE")
    assert [scan.path.name[:6] for scan in list_scans(tmp_path, series=2)] == ["IM-002"]
    assert [scan.path.name[:6] for scan in list_scans(tmp_path, series="t2")] == ["IM-007"]


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


def test_what_is_no_scan_is_left_out_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
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


def test_whatever_putting_a_series_in_order_raises_is_its_problem(
    two_series: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("custom.scans.dicom.stack_files.arrange", lambda files, numbers: [][0])
    scans = list_scans(two_series)
    assert len(scans) == 3
    for scan in scans:
        with pytest.raises(InputError, match=rf"{scan.path}: cannot be used \(IndexError: list index out of range"):
            read_scan(scan)


@pytest.mark.parametrize("name", ["n" * 300 + ".nii", "a\0b.nii", "n/" * 2500 + "a.nii"])
def test_a_name_that_no_file_can_have_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"cannot be used|no such file") as caught:
        list_scans(tmp_path / name)
    assert len(str(caught.value)) < 1500


def test_nifti_named_dcm(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.arange(24.0).reshape(2, 3, 4), np.eye(4)), tmp_path / "a.nii")
    (tmp_path / "a.nii").rename(tmp_path / "a.dcm")
    (scan,) = list_scans(tmp_path / "a.dcm")
    for look, given in ((check_header, tmp_path / "a.dcm"), (read_scan, scan), (read_scan, tmp_path)):
        with pytest.raises(InputError, match=r"a\.dcm: not DICOM, whatever its name says"):
            look(given)


def test_folder_without_image(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="no DICOM image of MR in this folder"):
        read_scan(tmp_path)


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


def test_results_in_folders_with_dots_are_no_input(tmp_path: Path) -> None:
    write_classic(tmp_path / "1.2.840.5")
    write_classic(tmp_path / "1.2.840.5_sr")
    assert {scan.path.parent.name for scan in list_scans(tmp_path, output_dir=tmp_path)} == {"1.2.840.5"}
