"""Manifests of one's own: the items that they give, and how subjects are split."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from dicom_files import Layout, write_classic
from hypothesis import given
from hypothesis import strategies as st
from manifest_files import GOOD, save_manifest, save_pictures, splits_of_subjects

from custom.errors import InputError, UsageError
from custom.manifests.manifest import load_manifest
from custom.manifests.schema import manifest_digest
from custom.manifests.splits import SPLITS
from custom.scans.dicom import search, stack_files
from custom.scans.dicom.headers import read_header

# --- frames and folders as items


def test_frame_numbers_have_to_be_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    save_pictures(*(folder / subject / f"IM-{number}.jpg" for subject in "abcd" for number in ("0001", "0004")))
    content = copy.deepcopy(GOOD) | {
        "kind": "cine",
        "patterns": ["{subject}/IM-{image}.jpg"],
        "frame_number": {"field": "image", "phases": 3},
    }
    path = save_manifest(tmp_path, content)
    items = load_manifest(path, folder).items("test")
    assert [(item["slice"], item["phase"]) for item in items] == [(0, 0), (1, 0)]
    save_pictures(folder / "a" / "IM-0000.jpg", folder / "b" / "IM-x.jpg")
    with pytest.raises(InputError, match=r"2 problems\n.*IM-0000.jpg: '0000' is not a frame number.*\n.*'x' is not a"):
        load_manifest(path, folder)


def test_folder_of_a_stack_is_one_item(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for subject in "abcd":
        write_classic(folder / "dicom" / subject)
    content = copy.deepcopy(GOOD) | {"kind": "cine", "patterns": ["dicom/{subject}/"]}
    path = save_manifest(tmp_path, content)
    manifest = load_manifest(path, folder)
    assert [item["label"] for item in manifest.items("train")] == [str(folder / "dicom" / s) for s in "ab"]
    save_pictures(tmp_path / "outside.jpg")
    (folder / "dicom" / "b" / "3.jpg").symlink_to(tmp_path / "outside.jpg")
    with pytest.raises(InputError, match=r"3.jpg: a link that leads out of dataset_dir, to .*outside.jpg"):
        load_manifest(path, folder)


def test_a_file_of_a_series_stands_for_all_of_it(tmp_path: Path) -> None:
    """One file of a DICOM series has the whole series read, so two files are one scan twice."""
    layout = Layout(shape=(5, 7, 2))
    for subject in "abcd":
        write_classic(tmp_path / "data" / subject, layout)
    content = copy.deepcopy(GOOD) | {"patterns": ["{subject}/{image}.dcm"]}
    path = save_manifest(tmp_path, content)
    with pytest.raises(
        InputError,
        match=r"4 problems\n.*a/.*: is read twice, for a as .*and for a; leave.*\(the pattern of a DICOM series",
    ):
        load_manifest(path, tmp_path / "data")
    names = sorted(file.stem for file in write_classic(tmp_path / "flat", layout))
    content["patterns"] = ["{subject}.dcm"]
    content["split"] |= {"train": names[:1], "validation": [], "test": names[1:]}
    with pytest.raises(InputError, match=rf"is read twice, for {names[0]} as .* and for {names[1]}; leave"):
        load_manifest(save_manifest(tmp_path, content), tmp_path / "flat")


def test_headers_of_a_folder_are_read_once_for_all_its_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    for module in (search, stack_files):
        monkeypatch.setattr(module, "read_header", lambda path: read.append(path) or read_header(path))
    files = [write_classic(tmp_path / "data", Layout(shape=(5, 7, 1)), series)[0] for series in range(4)]
    names = [file.stem for file in files]
    content = copy.deepcopy(GOOD) | {"patterns": ["{subject}.dcm"]}
    content["split"] |= {"train": names[:2], "validation": names[2:3], "test": names[3:]}
    items = load_manifest(save_manifest(tmp_path, content), tmp_path / "data").items("train")
    assert [item["label"] for item in items] == [str(file) for file in files[:2]]
    assert sorted(read) == sorted(files)


# --- splits


def test_own_manifest_by_path_and_by_name(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data_manifests").mkdir()
    path = save_manifest(tmp_path / "data_manifests", GOOD)
    monkeypatch.chdir(tmp_path)
    assert load_manifest(path, data).items("test") == [{"label": str(data / "d.nii"), "subject": "d"}]
    assert load_manifest("mine", data).digest == manifest_digest(GOOD)


def test_items_are_copies_and_splits_have_names(tmp_path: Path, data: Path) -> None:
    manifest = load_manifest(save_manifest(tmp_path, GOOD), data)
    manifest.items("train")[0]["label"] = "changed"
    assert manifest.items("train")[0]["label"] == str(data / "a.nii")
    with pytest.raises(UsageError, match="'training'; known are train, validation, test"):
        manifest.items("training")


def test_empty_split_is_an_error_when_it_is_asked_for(tmp_path: Path, data: Path) -> None:
    content = copy.deepcopy(GOOD)
    content["split"] = {"by": "list", "train": [], "validation": [], "test": ["a", "b"]}
    manifest = load_manifest(save_manifest(tmp_path, content), data)
    assert len(manifest.items("test")) == 2
    with pytest.raises(InputError, match=r"the split 'train' is empty; give it subjects under split\.train"):
        manifest.items("train")
    assert manifest.items("train", required=False) == []


@given(
    subjects=st.lists(st.integers(0, 99), min_size=3, max_size=15, unique=True),
    random_seed=st.integers(0, 100),
    slices=st.integers(1, 3),
)
def test_no_subject_is_in_two_splits(
    tmp_path_factory: pytest.TempPathFactory, subjects: list[int], random_seed: int, slices: int
) -> None:
    folder = tmp_path_factory.mktemp("split")
    for subject in subjects:
        save_pictures(*(folder / "data" / f"p{subject}_{index}.png" for index in range(slices)))
    content = copy.deepcopy(GOOD) | {"kind": "slices", "patterns": ["{subject}_{slice}.png"]}
    content["split"] = {"by": "fractions", "train": 0.6, "validation": 0.2, "test": 0.2, "random_seed": random_seed}
    manifest = load_manifest(save_manifest(folder, content), folder / "data")
    owners = splits_of_subjects(manifest)
    assert sorted(owners) == sorted(f"p{subject}" for subject in subjects)
    assert all(len(splits) == 1 for splits in owners.values())
    assert sum(len(manifest.items(name)) for name in SPLITS) == slices * len(subjects)
