from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from PIL import Image

from custom.data.geometry import slab_bounds
from custom.data.manifest import Manifest, load_manifest, sample_folder
from custom.data.manifest_schema import known_manifests, manifest_digest, manifest_folder, read_manifest
from custom.data.readers import read_scan
from custom.data.splits import SPLITS
from custom.errors import InputError, MissingFileError, UsageError

SHIPPED = [
    "acdc",
    "adni_ad_nc_2d",
    "adni_t1",
    "cardiac_srresnet_folders",
    "image_folder",
    "ixi",
    "mnms",
    "nifti_folder",
    "openneuro_ds002748",
    "sample_brain_t1",
    "sample_cardiac_cine",
    "sunnybrook_cine",
]
GOOD: dict[str, Any] = {
    "name": "mine",
    "licence": "mine",
    "citation": "none",
    "how_to_get": {"url": "", "words": "It is mine."},
    "modality": "MRI",
    "kind": "volume",
    "patterns": ["{subject}.nii"],
    "split": {"by": "list", "train": ["a", "b"], "validation": ["c"], "test": ["d"]},
}


def _nifti(*paths: Path) -> None:
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(array, np.eye(4)), path)


def _jpeg(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path)


def _pairs(folder: Path, names: dict[str, list[str]], scale: int = 4) -> None:
    for part, stems in names.items():
        for stem in stems:
            for kind, size in (("bssfp", scale), ("bssfp_lowres", 1)):
                path = folder / part / kind / f"{stem}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.zeros((8 * size, 10 * size), np.uint8)).save(path)


def _written(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "mine.json"
    path.write_text(json.dumps(content))
    return path


def _owners(manifest: Manifest) -> dict[str, set[str]]:
    """Each subject, and the splits that its files are in."""
    owners: dict[str, set[str]] = {}
    for name in SPLITS:
        for item in manifest.items(name):
            owners.setdefault(item["subject"], set()).add(name)
    return owners


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    _nifti(*(folder / f"{subject}.nii" for subject in "abcd"))
    return folder


# --- the manifests that come with the package


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(json.loads((manifest_folder() / "schema.json").read_text()))


def test_every_shipped_manifest_is_known() -> None:
    assert [name for name, path in known_manifests().items() if path.parent == manifest_folder()] == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_manifest_fits_the_schema(name: str) -> None:
    content, path = read_manifest(name)
    assert content["name"] == name == path.stem


def test_sample_splits_are_slabs_of_one_brain_with_gaps() -> None:
    manifest = load_manifest("sample_brain_t1", sample_folder())
    assert manifest.sample
    assert manifest.subjects == {name: ["colin27"] for name in SPLITS}
    (path,) = {item["label"] for name in SPLITS for item in manifest.items(name)}
    size = nib.load(path).shape[2]
    owner: dict[int, str] = {}
    for name in SPLITS:
        for item in manifest.items(name):
            slab = item["slab"]
            assert slab["axis"] == 2
            for index in range(*slab_bounds(size, slab["start"], slab["stop"])):
                assert index not in owner
                owner[index] = name
    assert len(manifest.items("test")) == len(manifest.items("validation")) == 1
    for index, name in owner.items():
        for step in range(1, 7):  # slices of 1 mm
            assert owner.get(index + step, name) == name
    assert sum(name == "train" for name in owner.values()) >= 80


def test_every_slab_of_the_sample_holds_brain() -> None:
    manifest = load_manifest("sample_brain_t1", sample_folder())
    volume = read_scan(manifest.items("test")[0]["label"])[0].numpy()
    for name in SPLITS:
        for item in manifest.items(name):
            first, last = slab_bounds(volume.shape[2], item["slab"]["start"], item["slab"]["stop"])
            # tissue of 21 of 216 and more: at the thinnest slice the crown of the head, a seventh of the field of view
            assert (volume[:, :, first:last] > 21).mean(axis=(0, 1)).min() > 0.2


def test_real_data_set_in_a_flat_folder(shared_data: Path) -> None:
    manifest = load_manifest("openneuro_ds002748", shared_data / "brain_t1")
    assert [len(manifest.items(name)) for name in SPLITS] == [16, 3, 5]
    assert manifest.subjects["test"] == ["sub-20", "sub-21", "sub-22", "sub-23", "sub-24"]
    assert all(len(splits) == 1 for splits in _owners(manifest).values())


def test_cine_frames_are_split_by_patient(shared_data: Path) -> None:
    manifest = load_manifest("sunnybrook_cine", shared_data / "cardiac_cine" / "png")
    assert manifest.kind == "cine"
    assert [len(manifest.subjects[name]) for name in SPLITS] == [17, 4, 4]
    assert [len(manifest.items(name)) for name in SPLITS] == [293, 68, 67]
    first = manifest.items("test")[0]
    assert Path(first["label"]).name == "IM-0048.png"
    assert (first["slice"], first["phase"]) == (2, 7)
    phases = {(item["subject"], item["phase"]) for name in SPLITS for item in manifest.items(name)}
    assert len(phases) == 2 * 25  # end-diastole and end-systole of each patient
    assert manifest.subjects["test"] == ["SC-HF-I-01", "SC-HF-NI-33", "SC-HYP-38", "SC-N-40"]
    assert all(len(splits) == 1 for splits in _owners(manifest).values())


def test_patient_in_two_forms_is_one_patient(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("custom.data.manifest.check_header", lambda path: None)
    folder = shared_data / "cardiac_cine"
    manifest = load_manifest("sunnybrook_cine", folder)
    assert [len(manifest.items(name)) for name in SPLITS] == [293, 68, 67 - 18 + 1]
    whole = [item for item in manifest.items("test") if item["subject"] == "SC-HF-I-01"]
    assert whole == [{"label": str(folder / "dicom" / "SC-HF-I-01"), "subject": "SC-HF-I-01"}]
    assert all(len(splits) == 1 for splits in _owners(manifest).values())


def test_frame_numbers_have_to_be_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    _jpeg(*(folder / subject / f"IM-{number}.jpg" for subject in "abcd" for number in ("0001", "0004")))
    content = copy.deepcopy(GOOD) | {
        "kind": "cine",
        "patterns": ["{subject}/IM-{image}.jpg"],
        "frame_number": {"field": "image", "phases": 3},
    }
    path = _written(tmp_path, content)
    items = load_manifest(path, folder).items("test")
    assert [(item["slice"], item["phase"]) for item in items] == [(0, 0), (1, 0)]
    _jpeg(folder / "a" / "IM-0000.jpg", folder / "b" / "IM-x.jpg")
    with pytest.raises(InputError, match=r"2 problems\n.*IM-0000.jpg: '0000' is no frame number.*\n.*'x' is no frame"):
        load_manifest(path, folder)


def test_folder_of_a_stack_is_one_item(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []
    monkeypatch.setattr("custom.data.manifest.check_header", seen.append)
    folder = tmp_path / "data"
    for subject in "abcd":
        _jpeg(folder / "dicom" / subject / "1.jpg", folder / "dicom" / subject / "2.jpg")
    content = copy.deepcopy(GOOD) | {"kind": "cine", "patterns": ["dicom/{subject}/"]}
    path = _written(tmp_path, content)
    manifest = load_manifest(path, folder)
    assert [item["label"] for item in manifest.items("train")] == [str(folder / "dicom" / s) for s in "ab"]
    assert seen == [folder / "dicom" / subject for subject in "abcd"]
    _jpeg(tmp_path / "outside.jpg")
    (folder / "dicom" / "b" / "3.jpg").symlink_to(tmp_path / "outside.jpg")
    with pytest.raises(InputError, match=r"3.jpg: a link that leads out of dataset_dir, to .*outside.jpg"):
        load_manifest(path, folder)


@pytest.mark.parametrize("above", ["training/", "database/training/", ""])
def test_acdc_is_split_by_patient_and_diagnosis(tmp_path: Path, above: str) -> None:
    for number in range(1, 151):
        subject = f"patient{number:03d}"
        folder = tmp_path / (above.replace("training", "testing") if number > 100 else above) / subject
        _nifti(folder / f"{subject}_4d.nii.gz")
        if number < 5:
            _nifti(folder / f"{subject}_frame01.nii.gz", folder / f"{subject}_frame01_gt.nii.gz")
    manifest = load_manifest("acdc", tmp_path)
    assert [len(manifest.items(name)) for name in SPLITS] == [90, 10, 50]
    groups = [(int(subject[-3:]) - 1) // 20 for subject in manifest.subjects["validation"]]
    assert groups == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert manifest.subjects["test"][0] == "patient101"


def test_mnms_in_the_folders_of_the_challenge(tmp_path: Path) -> None:
    codes = [f"A{number}B{number}C" for number in range(10)]
    places = ["Training/Labeled", "Training/Unlabeled", "Validation", "Testing", "."]
    for number, code in enumerate(codes):
        folder = tmp_path / places[number % 5] / code
        _nifti(folder / f"{code}_sa.nii.gz", folder / f"{code}_sa_gt.nii.gz")
    manifest = load_manifest("mnms", tmp_path)
    assert [len(manifest.items(name)) for name in SPLITS] == [7, 1, 2]
    assert sorted(_owners(manifest)) == codes


def test_pairs_of_the_cardiac_original(tmp_path: Path) -> None:
    names = {"train": ["P001_3_12", "P001_4_12", "P002_3"], "validation": ["P003_a"], "test": ["P004_b"]}
    _pairs(tmp_path, names)
    manifest = load_manifest("cardiac_srresnet_folders", tmp_path)
    assert manifest.subjects == {"train": ["P001", "P002"], "validation": ["P003"], "test": ["P004"]}
    assert manifest.items("test") == [
        {
            "label": str(tmp_path / "test/bssfp/P004_b.png"),
            "image": str(tmp_path / "test/bssfp_lowres/P004_b.png"),
            "subject": "P004",
        }
    ]


def test_pictures_that_do_not_pair_are_refused(tmp_path: Path) -> None:
    names = {"train": ["P001_1", "P002_1"], "validation": ["P003_1"], "test": ["P004_1"]}
    _pairs(tmp_path, names)
    (tmp_path / "train/bssfp_lowres/P001_1.png").rename(tmp_path / "train/bssfp_lowres/P001_2.png")
    with pytest.raises(InputError, match=r"bssfp_lowres/P001_1.png: no such file"):
        load_manifest("cardiac_srresnet_folders", tmp_path)
    (tmp_path / "train/bssfp/P001_1.png").rename(tmp_path / "train/bssfp/P001_2.png")
    _jpeg(tmp_path / "train/bssfp_lowres/P009_1.png")
    with pytest.raises(InputError, match=r"1 problem\n.*P009_1.png: low resolution without its partner"):
        load_manifest("cardiac_srresnet_folders", tmp_path)
    (tmp_path / "train/bssfp_lowres/P009_1.png").unlink()
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(tmp_path / "test/bssfp_lowres/P004_1.png")
    with pytest.raises(InputError, match=r"1 problem\n.*P004_1.png: 32 x 40 pixels .* 8 x 9; .* has to be 4 times"):
        load_manifest("cardiac_srresnet_folders", tmp_path)
    Image.fromarray(np.zeros((16, 20), np.uint8)).save(tmp_path / "test/bssfp_lowres/P004_1.png")
    with pytest.raises(InputError, match=r"16 x 20; .* has to be 4 times"):
        load_manifest("cardiac_srresnet_folders", tmp_path)
    _pairs(tmp_path, names, scale=1)
    with pytest.raises(InputError, match=r"has to be 2, 3, 4, ... times"):
        load_manifest("cardiac_srresnet_folders", tmp_path)


def test_openneuro_in_the_layout_of_bids(tmp_path: Path) -> None:
    subjects = [f"sub-{number:02d}" for number in range(1, 31)]
    _nifti(*(tmp_path / subject / "anat" / f"{subject}_T1w.nii.gz" for subject in subjects))
    manifest = load_manifest("openneuro_ds002748", tmp_path)
    assert [len(manifest.items(name)) for name in SPLITS] == [16, 3, 5]
    assert "sub-25" not in _owners(manifest)


def test_folder_for_each_patient_with_a_mask(tmp_path: Path) -> None:
    for number in range(10):
        folder = tmp_path / f"patient{number}"
        _nifti(folder / "T1_brain_extractedBrainExtractionBrain.nii.gz")
        _nifti(folder / "T1_brain_extractedBrainExtractionMask.nii.gz")
    (tmp_path / "clinical_data.csv").write_text("beside the folders, as in the original")
    manifest = load_manifest("adni_t1", tmp_path)
    assert [len(manifest.items(name)) for name in SPLITS] == [7, 1, 2]
    for name in SPLITS:
        for item in manifest.items(name):
            assert item["label"] == str(tmp_path / item["subject"] / "T1_brain_extractedBrainExtractionBrain.nii.gz")
            assert item["mask"] == str(tmp_path / item["subject"] / "T1_brain_extractedBrainExtractionMask.nii.gz")


@pytest.mark.parametrize("above", ["", "AD_NC/"])
def test_jpeg_slices_are_split_by_patient(tmp_path: Path, above: str) -> None:
    for number in range(10):
        group = ("AD", "NC")[number % 2]
        _jpeg(*(tmp_path / f"{above}train/{group}/{1000 + number}_{index}.jpeg" for index in (78, 79, 80)))
    _jpeg(*(tmp_path / f"{above}test/{group}/{number}_{78}.jpeg" for group, number in (("AD", 2000), ("NC", 2001))))
    manifest = load_manifest("adni_ad_nc_2d", tmp_path)
    assert manifest.kind == "slices"
    assert [len(manifest.items(name)) for name in SPLITS] == [24, 6, 2]
    owners = _owners(manifest)
    assert all(len(splits) == 1 for splits in owners.values())
    assert {subject for subject, splits in owners.items() if splits == {"test"}} == {"2000", "2001"}


def test_jpeg_patient_in_both_folders_is_refused(tmp_path: Path) -> None:
    _jpeg(*(tmp_path / f"train/AD/{number}_1.jpeg" for number in range(10)), tmp_path / "test/NC/3_2.jpeg")
    with pytest.raises(InputError, match="the subject '3' has files in two splits, "):
        load_manifest("adni_ad_nc_2d", tmp_path)


def test_ixi_names(tmp_path: Path) -> None:
    _nifti(*(tmp_path / f"IXI{number:03d}-Guys-0{number}-T1.nii.gz" for number in range(100, 110)))
    (tmp_path / "IXI100-Guys-0100-T2.nii.gz").write_text("another contrast")
    manifest = load_manifest("ixi", tmp_path)
    assert sorted(_owners(manifest)) == [f"IXI{number}" for number in range(100, 110)]


def test_folder_of_your_own_takes_either_ending(tmp_path: Path) -> None:
    _nifti(*(tmp_path / name for name in ("a.nii", "a.nii.gz", "b.nii", "c.nii.gz", "d.nii")))
    manifest = load_manifest("nifti_folder", tmp_path)
    items = [item for name in SPLITS for item in manifest.items(name)]
    assert sorted(Path(item["label"]).name for item in items) == ["a.nii.gz", "b.nii", "c.nii.gz", "d.nii"]


def test_pictures_of_your_own_in_folders(tmp_path: Path) -> None:
    _jpeg(*(tmp_path / f"p{number}/{index}.png" for number in range(4) for index in range(3)))
    manifest = load_manifest("image_folder", tmp_path)
    assert [len(manifest.items(name)) for name in SPLITS] == [6, 3, 3]


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
    with pytest.raises(MissingFileError, match=r"gone/mine\.json: no such file; known names are"):
        load_manifest("gone/mine.json", sample_folder())


def test_own_manifest_by_path_and_by_name(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data_manifests").mkdir()
    path = _written(tmp_path / "data_manifests", GOOD)
    monkeypatch.chdir(tmp_path)
    assert load_manifest(path, data).items("test") == [{"label": str(data / "d.nii"), "subject": "d"}]
    assert load_manifest("mine", data).digest == manifest_digest(GOOD)


def test_items_are_copies_and_splits_have_names(tmp_path: Path, data: Path) -> None:
    manifest = load_manifest(_written(tmp_path, GOOD), data)
    manifest.items("train")[0]["label"] = "changed"
    assert manifest.items("train")[0]["label"] == str(data / "a.nii")
    with pytest.raises(UsageError, match="'training'; known are train, validation, test"):
        manifest.items("training")


def test_empty_split_is_an_error_when_it_is_asked_for(tmp_path: Path, data: Path) -> None:
    content = copy.deepcopy(GOOD)
    content["split"] = {"by": "list", "train": [], "validation": [], "test": ["a", "b"]}
    manifest = load_manifest(_written(tmp_path, content), data)
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
        _jpeg(*(folder / "data" / f"p{subject}_{index}.png" for index in range(slices)))
    content = copy.deepcopy(GOOD) | {"kind": "slices", "patterns": ["{subject}_{slice}.png"]}
    content["split"] = {"by": "fractions", "train": 0.6, "validation": 0.2, "test": 0.2, "random_seed": random_seed}
    manifest = load_manifest(_written(folder, content), folder / "data")
    owners = _owners(manifest)
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
    "image field": (
        lambda m: m.update(image_pattern="{subject}_{visit}.png"),
        "image_pattern: the fields visit are not",
    ),
    "image kind": (lambda m: m.update(image_pattern="{subject}.nii"), "image_pattern: .*a .png, .jpg or .jpeg file"),
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
    "range": (lambda m: m["split"].update(test=["s[9-3]"]), r"'s\[9-3\]' is no range"),
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
    path = _written(tmp_path, content)
    with pytest.raises(InputError, match=words) as caught:
        load_manifest(path, data)
    assert str(path) in str(caught.value)


def test_all_wrong_keys_are_named_at_once(tmp_path: Path, data: Path) -> None:
    content = copy.deepcopy(GOOD) | {"kind": "movie", "sample": "no"}
    del content["citation"]
    with pytest.raises(InputError, match="3 problems") as caught:
        load_manifest(_written(tmp_path, content), data)
    for key in ("kind", "sample", "citation"):
        assert key in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{'name': 1}", "cannot be read as JSON"),
        ('{"name": "a", "name": "b"}', "the key 'name' is there twice"),
        ("[]", "is not allowed .type object"),
        ("\xff\xfe", "cannot be read as JSON|not allowed"),
    ],
)
def test_file_that_is_no_manifest(tmp_path: Path, data: Path, text: str, words: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=words) as caught:
        load_manifest(path, data)
    assert str(path) in str(caught.value)
