"""Folders that do not hold what their manifest says: all of it is listed in one error."""

from __future__ import annotations

import copy
import os
import socket
from pathlib import Path

import pytest
from manifest_files import GOOD, save_manifest, save_nifti

from custom.errors import InputError, MissingFileError, UsageError
from custom.manifests.manifest import load_manifest


def test_missing_and_empty_dataset_dir_are_said_first(tmp_path: Path) -> None:
    path = save_manifest(tmp_path, GOOD)
    with pytest.raises(MissingFileError, match=r"dataset_dir .*gone: no such folder. To get mine: It is mine\."):
        load_manifest(path, tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"dataset_dir .*empty: the folder is empty. To get mine: It is mine\."):
        load_manifest(path, tmp_path / "empty")
    with pytest.raises(InputError, match="is not a folder; give the folder that holds the data"):
        load_manifest(path, path)


def test_pattern_that_finds_nothing(tmp_path: Path, data: Path) -> None:
    content = copy.deepcopy(GOOD) | {"patterns": ["{subject}/T1.nii", "{subject}_T1.nii"]}
    words = (
        r"no file fits {subject}/T1.nii or {subject}_T1.nii of the manifest mine.json .the folder holds a.nii, b.nii"
    )
    with pytest.raises(InputError, match=words):
        load_manifest(save_manifest(tmp_path, content), data)


def test_sample_manifest_on_other_data_says_how_to_name_ones_own(data: Path) -> None:
    with pytest.raises(InputError, match=r"--data_manifest, one of .*nifti_folder"):
        load_manifest("sample_brain_t1", data)


def test_everything_wrong_is_listed_in_one_error(tmp_path: Path, data: Path) -> None:
    content = copy.deepcopy(GOOD)
    content["split"]["test"] = ["d", "e", "f", "[gone]"]
    (data / "a.nii").write_bytes(b"")
    (data / "b.nii").write_text("not an image at all")
    (data / "c.nii").unlink()
    (data / "c.nii").symlink_to(data / "c.nii")
    outside = tmp_path / "outside.nii"
    save_nifti(outside)
    (data / "e.nii").symlink_to(outside)
    with pytest.raises(InputError) as caught:
        load_manifest(save_manifest(tmp_path, content), data)
    message = str(caught.value)
    assert "6 problems" in message
    assert "a.nii: the file is empty" in message
    assert "b.nii: cannot be read as NIfTI" in message
    assert "c.nii: a link to a file that is not there" in message
    assert "e.nii: a link that leads out of dataset_dir" in message
    assert "f: no file of this subject (test) fits {subject}.nii" in message
    assert "[gone]: no file of this subject" in message


def test_long_list_is_cut_and_counted(tmp_path: Path, data: Path) -> None:
    content = copy.deepcopy(GOOD)
    content["split"]["test"] = ["s[01-50]"]
    with pytest.raises(InputError, match="50 problems") as caught:
        load_manifest(save_manifest(tmp_path, content), data)
    lines = str(caught.value).splitlines()
    assert len(lines) == 22
    assert lines[-1] == "  - and 30 more"


def test_missing_mask_is_named(tmp_path: Path, data: Path) -> None:
    content = copy.deepcopy(GOOD) | {"mask_pattern": "{subject}_mask.nii"}
    save_nifti(*(data / f"{subject}_mask.nii" for subject in "abd"))
    with pytest.raises(InputError, match=r"1 problem\n.*c_mask\.nii: no such file"):
        load_manifest(save_manifest(tmp_path, content), data)


def test_link_inside_is_followed_but_one_file_has_one_subject(tmp_path: Path, data: Path) -> None:
    (data / "store").mkdir()
    (data / "d.nii").rename(data / "store" / "d.nii")
    (data / "d.nii").symlink_to(data / "store" / "d.nii")
    load_manifest(save_manifest(tmp_path, GOOD), data)
    (data / "c.nii").unlink()
    (data / "c.nii").symlink_to(data / "store" / "d.nii")
    with pytest.raises(InputError, match=r"d\.nii: is read twice, for c as .*c\.nii and for d; leave"):
        load_manifest(save_manifest(tmp_path, GOOD), data)
    (data / "c.nii").unlink()
    (data / "c.nii").hardlink_to(data / "store" / "d.nii")
    with pytest.raises(InputError, match=r"d\.nii: is read twice, for c"):
        load_manifest(save_manifest(tmp_path, GOOD), data)


def test_one_name_that_two_patterns_read_as_two_subjects(tmp_path: Path) -> None:
    save_nifti(tmp_path / "a_b.nii")
    content = copy.deepcopy(GOOD) | {"patterns": ["{subject}_{x}.nii", "{x}_{subject}.nii"]}
    content["split"] |= {"train": ["a"], "validation": [], "test": ["b"]}
    with pytest.raises(InputError, match=r"a_b\.nii: is read twice, for a as .* and for b"):
        load_manifest(save_manifest(tmp_path, content), tmp_path)


def test_pipes_and_sockets_are_refused_before_they_are_opened(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data / "a.nii").unlink()
    os.mkfifo(data / "a.nii")
    (data / "b.nii").unlink()
    monkeypatch.chdir(data)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("b.nii")
        with pytest.raises(InputError, match=r"2 problems\n.*a\.nii: a pipe, a socket or a device.*\n.*b\.nii: a pipe"):
            load_manifest(save_manifest(tmp_path, GOOD), data)


def test_a_pipe_in_the_folder_of_a_stack_is_refused(tmp_path: Path) -> None:
    for subject in "abcd":
        (tmp_path / "dicom" / subject).mkdir(parents=True)
    os.mkfifo(tmp_path / "dicom" / "c" / "1.dcm")
    content = copy.deepcopy(GOOD) | {"patterns": ["dicom/{subject}/"]}
    with pytest.raises(InputError, match=r"c/1\.dcm: a pipe, a socket or a device, where a file is needed"):
        load_manifest(save_manifest(tmp_path, content), tmp_path)


def test_a_pipe_is_not_a_manifest(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data_manifests").mkdir()
    os.mkfifo(tmp_path / "data_manifests" / "mine.json")
    with pytest.raises(MissingFileError, match=r"mine\.json: no such file"):
        load_manifest(tmp_path / "data_manifests" / "mine.json", data)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="'mine': unknown"):
        load_manifest("mine", data)


def test_too_few_subjects_for_the_fractions(tmp_path: Path) -> None:
    save_nifti(tmp_path / "a.nii", tmp_path / "b.nii")
    with pytest.raises(InputError, match=r"split\.(validation|test): no subject is left, there are only 2"):
        load_manifest("nifti_folder", tmp_path)


def test_slabs_are_for_one_subject(tmp_path: Path, data: Path) -> None:
    content = copy.deepcopy(GOOD) | {
        "sample": True,
        "split": {"by": "slabs", "axis": 2, "train": [[0.0, 0.5]], "validation": [[0.6, 0.7]], "test": [[0.8, 1.0]]},
    }
    with pytest.raises(InputError, match="a split by slabs needs one subject, but there are 4: a, b, c, d"):
        load_manifest(save_manifest(tmp_path, content), data)
