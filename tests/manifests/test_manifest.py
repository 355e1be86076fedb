"""Manifests of one's own: what they find, how they split, and what is said of a wrong one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dicom_files import Layout, write_classic
from hypothesis import given
from hypothesis import strategies as st
from manifest_files import GOOD, save_manifest, save_pictures, splits_of_subjects

from custom.errors import InputError, MissingFileError, UsageError
from custom.manifests.manifest import load_manifest, sample_folder
from custom.manifests.schema import manifest_digest
from custom.manifests.splits import SPLITS

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


# --- names, digests, splits


def test_digest_depends_on_what_is_said_and_not_on_how() -> None:
    shuffled = json.loads(json.dumps(dict(reversed(GOOD.items())), indent=8))
    assert manifest_digest(shuffled) == manifest_digest(GOOD)
    assert manifest_digest({**GOOD, "kind": "slices"}) != manifest_digest(GOOD)
    # sha256 of the text {"a":1,"b":"ä"} in UTF-8, from sha256sum
    expected = "f5300ffcfd6fd3fc2de46d700be90d43fd799cd9eb69da4737201006143d48a1"
    assert manifest_digest({"b": "ä", "a": 1}) == expected


def test_unknown_name_is_wrong_use_and_gets_a_hint() -> None:
    with pytest.raises(UsageError, match=r"'sample_brain': unknown; did you mean 'sample_brain_t1'\? Known are acdc"):
        load_manifest("sample_brain", sample_folder())
    with pytest.raises(UsageError, match="'schema': unknown"):
        load_manifest("schema", sample_folder())
    with pytest.raises(MissingFileError, match=r"gone/mine\.json: no such file; give the path of a file, or one of"):
        load_manifest("gone/mine.json", sample_folder())


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


# --- manifests that are wrong: the key is named, with what is allowed

Change = Callable[[dict[str, Any]], Any]
WRONG: dict[str, tuple[Change, str]] = {
    "missing": (lambda m: m.pop("licence"), "the manifest: 'licence' is missing"),
    "unknown": (lambda m: m.update(modalty="x"), "unknown key 'modalty'; allowed are name, .*modality"),
    "kind": (lambda m: m.update(kind="movie"), r'kind: "movie" is not allowed .*one of \'volume\', \'slices\''),
    "name": (lambda m: m.update(name="My Data"), 'name: "My Data" is not allowed .*lower-case letters'),
    "type": (lambda m: m.update(sample="yes"), 'sample: "yes" is not allowed .*boolean'),
    "url": (lambda m: m["how_to_get"].update(url="ftp://x"), 'how_to_get.url: "ftp://x" .*https'),
    "no subject": (lambda m: m.update(patterns=["*.nii"]), r"patterns\[0\]: .*a \{subject\} field"),
    "absolute": (lambda m: m.update(patterns=["/data/{subject}.nii"]), r"patterns\[0\]: .*below dataset_dir"),
    "upwards": (lambda m: m.update(patterns=["a/../../{subject}.nii"]), r"patterns\[0\]: .*below dataset_dir"),
    "upwards first": (lambda m: m.update(patterns=["../{subject}.nii"]), r"patterns\[0\]: .*below dataset_dir"),
    "upwards mask": (lambda m: m.update(mask_pattern="../{subject}.nii"), "mask_pattern: .*below dataset_dir"),
    "no pattern": (lambda m: m.update(patterns=[]), r"patterns: \[\] is not allowed .*minItems"),
    "frame field": (
        lambda m: m.update(frame_number={"field": "image", "phases": 20}),
        "frame_number.field: 'image' is not a field of any of patterns",
    ),
    "phases": (
        lambda m: m.update(frame_number={"field": "subject", "phases": 1}),
        "frame_number.phases: 1 is not allowed .*at least 2",
    ),
    "mask field": (lambda m: m.update(mask_pattern="{subject}_{visit}.nii"), "mask_pattern: the fields visit are not"),
    "by": (lambda m: m["split"].update(by="luck"), "split.by: .*one of 'list', 'fractions', 'field', 'slabs'"),
    "no split": (lambda m: m.update(split={}), "split: 'by' is missing"),
    "no test": (lambda m: m["split"].pop("test"), "split: 'test' is missing"),
    "split key": (
        lambda m: m["split"].update(val=["x"]),
        "split: unknown key 'val'; allowed are by, train, validation",
    ),
    "no names": (lambda m: m["split"].update(train="a"), 'split.train: "a" is not allowed .*a list of subjects'),
    "twice": (lambda m: m["split"].update(test=["a", "d"]), "the subject 'a' is in two splits, train and test"),
    "range": (lambda m: m["split"].update(test=["s[9-3]"]), r"'s\[9-3\]' is not a range"),
    "endless range": (
        lambda m: m["split"].update(test=["sub-[1-1000000000]"]),
        r"split: 'sub-\[1-1000000000\]' names too many subjects, a split has at most 100,000",
    ),
    "long name": (
        lambda m: m["split"].update(test=["x" * 10_000 + "[1-9]"]),
        r"split.test\[0\]: \"x{100,120} is not allowed .*at most 255 characters",
    ),
    "half axis": (
        lambda m: m.update(sample=True, split=_slab_split([0.0, 0.5], [0.6, 0.7], [0.8, 1.0]) | {"axis": 2.0}),
        "split.axis: 2.0 is not allowed .*array axis",
    ),
    "sum": (
        lambda m: m.update(split={"by": "fractions", "train": 0.7, "validation": 0.2, "test": 0.2, "random_seed": 0}),
        "split: the fractions add up to 1.1",
    ),
    "fraction": (
        lambda m: m.update(split={"by": "fractions", "train": 7, "validation": 0.2, "test": 0.2, "random_seed": 0}),
        "split.train: 7 is not allowed .*a number from 0 to 1",
    ),
    "no number": (
        lambda m: m.update(split={"by": "fractions", "train": 0.7, "validation": 0.2, "test": 0.1}),
        "split: 'random_seed' is missing",
    ),
    "field": (
        lambda m: m.update(
            split={"by": "field", "field": "part", "train": ["x"], "validation": ["y"], "test": ["z"], "random_seed": 0}
        ),
        "split.field: 'part' is not a field",
    ),
    "field without validation": (
        lambda m: m.update(split={"by": "field", "field": "part", "train": ["x"], "test": ["z"], "random_seed": 0}),
        "split: give one of 'validation', 'validation_fraction'",
    ),
    "slabs of no sample": (
        lambda m: m.update(split=_slab_split([0.0, 0.5], [0.6, 0.7], [0.8, 1.0])),
        'split.by: slabs .*"sample": true, or split by subject',
    ),
    "slabs overlap": (
        lambda m: m.update(sample=True, split=_slab_split([0.0, 0.5], [0.4, 0.6], [0.8, 1.0])),
        "train ends at 0.5 and one of validation starts at 0.4; slabs may not overlap",
    ),
    "slabs touch": (
        lambda m: m.update(sample=True, split=_slab_split([0.0, 0.5], [0.5, 0.6], [0.8, 1.0])),
        "keep a gap of at least 0.02",
    ),
    "slab backwards": (
        lambda m: m.update(sample=True, split=_slab_split([0.5, 0.3], [0.6, 0.7], [0.8, 1.0])),
        r"split.train: the slab \[0.5, 0.3\) is empty",
    ),
    "slab axis": (
        lambda m: m.update(sample=True, split=_slab_split([0.0, 0.5], [0.6, 0.7], [0.8, 1.0]) | {"axis": 3}),
        "split.axis: 3 is not allowed .*array axis",
    ),
}


def _slab_split(train: list[float], validation: list[float], test: list[float]) -> dict[str, Any]:
    return {"by": "slabs", "axis": 2, "train": [train], "validation": [validation], "test": [test]}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_manifest_names_its_key(tmp_path: Path, data: Path, case: str) -> None:
    change, words = WRONG[case]
    content = copy.deepcopy(GOOD)
    change(content)
    path = save_manifest(tmp_path, content)
    with pytest.raises(InputError, match=words) as caught:
        load_manifest(path, data)
    assert str(path) in str(caught.value)


def test_all_wrong_keys_are_named_at_once(tmp_path: Path, data: Path) -> None:
    content = copy.deepcopy(GOOD) | {"kind": "movie", "sample": "no"}
    del content["citation"]
    with pytest.raises(InputError, match="3 problems") as caught:
        load_manifest(save_manifest(tmp_path, content), data)
    for key in ("kind", "sample", "citation"):
        assert key in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{'name': 1}", "cannot be read as JSON"),
        ('{"name": "a", "name": "b"}', "the key 'name' is there twice"),
        ("[]", "is not allowed .type object"),
        ("[" * 100_000, "cannot be read as JSON"),
        ('{"train": NaN}', "NaN is not a number"),
        ("\xff\xfe", "cannot be read as JSON|not allowed"),
    ],
)
def test_file_that_is_no_manifest(tmp_path: Path, data: Path, text: str, words: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=words) as caught:
        load_manifest(path, data)
    assert str(path) in str(caught.value)
