"""The manifests that come with the package, on folders laid out as those of their data sets."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_files import Layout, write_classic
from jsonschema import Draft202012Validator
from manifest_files import save_hdf5, save_nifti, save_pictures, splits_of_subjects

from custom.arrays.geometry import slab_bounds
from custom.errors import InputError
from custom.manifests.manifest import load_manifest, sample_folder
from custom.manifests.schema import known_manifests, manifest_folder, read_manifest
from custom.manifests.splits import SPLITS
from custom.scans.readers import read_scan
from custom.transforms import LoadScand

SHIPPED = [
    "acdc",
    "adni_ad_nc_2d",
    "adni_t1",
    "cardiac_srresnet_folders",
    "fastmri_knee",
    "image_folder",
    "ixi",
    "mnms",
    "mridata_knees",
    "nifti_folder",
    "openneuro_ds002748",
    "sample_brain_t1",
    "sample_cardiac_cine",
    "sample_knee",
    "sunnybrook_cine",
]


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
    assert manifest.content["sample"]
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


def _slices_of_knee() -> dict[str, list[int]]:
    """Return the slices of each split of the sample knee."""
    manifest = load_manifest("sample_knee", manifest_folder() / "sample_knee")
    slabs = {name: manifest.items(name)[0]["slab"] for name in SPLITS}
    assert all(manifest.subjects[name] == ["ge_knee"] and slabs[name]["axis"] == 2 for name in SPLITS)
    return {name: list(range(*slab_bounds(24, slab["start"], slab["stop"]))) for name, slab in slabs.items()}


def test_slices_of_the_sample_knee_are_those_of_its_readme() -> None:
    readme = (manifest_folder() / "sample_knee/README.md").read_text()
    slices = _slices_of_knee()
    for name, numbers in slices.items():
        assert f"| {name} | {numbers[0]}-{numbers[-1]} |" in readme
    ends = sorted((numbers[0], numbers[-1]) for numbers in slices.values())
    assert all(start - stop == 2 for (_, stop), (start, _) in pairwise(ends))


def test_every_slice_of_the_sample_knee_holds_tissue() -> None:
    knee = read_scan(manifest_folder() / "sample_knee/ge_knee_echo1")[0].numpy()
    assert (knee > 200).mean(axis=(0, 1)).min() > 0.25


def test_sample_knee_is_its_source(shared_data: Path) -> None:
    knee = read_scan(manifest_folder() / "sample_knee/ge_knee_echo1")
    source = read_scan(shared_data / "dicom/classic/ge_knee_echo1")
    np.testing.assert_array_equal(knee, source)
    np.testing.assert_array_equal(knee.affine, source.affine)


def test_real_data_set_in_a_flat_folder(shared_data: Path) -> None:
    manifest = load_manifest("openneuro_ds002748", shared_data / "brain_t1")
    assert [len(manifest.items(name)) for name in SPLITS] == [16, 3, 5]
    assert manifest.subjects["test"] == ["sub-20", "sub-21", "sub-22", "sub-23", "sub-24"]
    assert all(len(splits) == 1 for splits in splits_of_subjects(manifest).values())


def test_cine_frames_are_split_by_patient(shared_data: Path) -> None:
    manifest = load_manifest("sunnybrook_cine", shared_data / "cardiac_cine" / "png")
    assert manifest.content["kind"] == "cine"
    assert [len(manifest.subjects[name]) for name in SPLITS] == [17, 4, 4]
    assert [len(manifest.items(name)) for name in SPLITS] == [293, 68, 67]
    first = manifest.items("test")[0]
    assert Path(first["label"]).name == "IM-0048.png"
    assert (first["slice"], first["phase"]) == (2, 7)
    phases = {(item["subject"], item["phase"]) for name in SPLITS for item in manifest.items(name)}
    assert len(phases) == 2 * 25  # end-diastole and end-systole of each patient
    assert manifest.subjects["test"] == ["SC-HF-I-01", "SC-HF-NI-33", "SC-HYP-38", "SC-N-40"]
    assert all(len(splits) == 1 for splits in splits_of_subjects(manifest).values())


def test_patient_in_two_forms_is_one_patient(shared_data: Path) -> None:
    folder = shared_data / "cardiac_cine"
    manifest = load_manifest("sunnybrook_cine", folder)
    assert [len(manifest.items(name)) for name in SPLITS] == [293, 68, 67 - 18 + 1]
    whole = [item for item in manifest.items("test") if item["subject"] == "SC-HF-I-01"]
    assert whole == [{"label": str(folder / "dicom" / "SC-HF-I-01"), "subject": "SC-HF-I-01"}]
    assert all(len(splits) == 1 for splits in splits_of_subjects(manifest).values())


@pytest.mark.parametrize("above", ["training/", "database/training/", ""])
def test_acdc_is_split_by_patient_and_diagnosis(tmp_path: Path, above: str) -> None:
    for number in range(1, 151):
        subject = f"patient{number:03d}"
        folder = tmp_path / (above.replace("training", "testing") if number > 100 else above) / subject
        save_nifti(folder / f"{subject}_4d.nii.gz")
        if number < 5:
            save_nifti(folder / f"{subject}_frame01.nii.gz", folder / f"{subject}_frame01_gt.nii.gz")
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
        save_nifti(folder / f"{code}_sa.nii.gz", folder / f"{code}_sa_gt.nii.gz")
    manifest = load_manifest("mnms", tmp_path)
    assert [len(manifest.items(name)) for name in SPLITS] == [7, 1, 2]
    assert sorted(splits_of_subjects(manifest)) == codes


def test_folders_of_the_cardiac_original(tmp_path: Path) -> None:
    names = {"train": ["P001_3_12", "P001_4_12", "P002_3"], "validation": ["P003_a"], "test": ["P004_b"]}
    for part, stems in names.items():
        save_pictures(*(tmp_path / part / "bssfp" / f"{stem}.png" for stem in stems))
        save_pictures(*(tmp_path / part / "bssfp_lowres" / f"{stem}.png" for stem in stems))
    manifest = load_manifest("cardiac_srresnet_folders", tmp_path)
    assert manifest.subjects == {"train": ["P001", "P002"], "validation": ["P003"], "test": ["P004"]}
    assert manifest.items("test") == [{"label": str(tmp_path / "test/bssfp/P004_b.png"), "subject": "P004"}]


def test_openneuro_in_the_layout_of_bids(tmp_path: Path) -> None:
    subjects = [f"sub-{number:02d}" for number in range(1, 31)]
    save_nifti(*(tmp_path / subject / "anat" / f"{subject}_T1w.nii.gz" for subject in subjects))
    manifest = load_manifest("openneuro_ds002748", tmp_path)
    assert [len(manifest.items(name)) for name in SPLITS] == [16, 3, 5]
    assert "sub-25" not in splits_of_subjects(manifest)


@pytest.mark.parametrize("form", ["folders of .mag", "data1 in HDF5", "NIfTI"])
def test_knees_of_the_published_split(tmp_path: Path, form: str) -> None:
    """Nineteen of the twenty numbers, so one of training is missing."""
    subjects = [f"P{number}" for number in range(1, 21) if number != 12]
    for subject in subjects:
        if form == "NIfTI":
            save_nifti(tmp_path / f"{subject}.nii.gz")
        elif form == "data1 in HDF5":
            save_hdf5(tmp_path / f"{subject}.h5", data1=np.arange(24.0).reshape(2, 3, 4))
        else:
            for number, file in enumerate(write_classic(tmp_path / subject, Layout(shape=(4, 3, 2)))):
                file.rename(file.with_name(f"I{number}.mag"))
    (tmp_path / "notes").mkdir()
    manifest = load_manifest("mridata_knees", tmp_path)
    assert manifest.subjects["test"] == ["P20", "P4", "P6"]
    assert [len(manifest.items(name)) for name in SPLITS] == [13, 3, 3]
    assert sorted(splits_of_subjects(manifest)) == sorted(subjects)
    assert all(len(splits) == 1 for splits in splits_of_subjects(manifest).values())
    assert read_scan(manifest.items("test")[0]["label"]).ndim == 4


@pytest.mark.parametrize("coils", ["singlecoil", "multicoil"])
def test_fastmri_is_the_reconstruction_in_each_file(tmp_path: Path, coils: str) -> None:
    images = np.arange(120.0).reshape(5, 6, 4)
    train, test = ([tmp_path / f"{coils}_{part}/file{n}.h5" for n in range(10)] for part in ("train", "val"))
    test = [path.with_name(f"file1{path.name[4:]}") for path in test]
    save_hdf5(*train, *test, kspace=images + 1j, reconstruction_esc=images / 2, reconstruction_rss=images)
    save_hdf5(tmp_path / f"{coils}_test/file30.h5", kspace=images + 1j)
    manifest = load_manifest("fastmri_knee", tmp_path)
    assert [len(manifest.items(name)) for name in SPLITS] == [9, 1, 10]
    assert {Path(item["label"]) for item in manifest.items("test")} == set(test)
    loaded = LoadScand("label")(manifest.items("train")[0])["label"]
    np.testing.assert_array_equal(loaded[0], images)


def test_fastmri_file_without_its_reconstruction_is_refused(tmp_path: Path) -> None:
    save_hdf5(tmp_path / "singlecoil_train/a.h5", tmp_path / "singlecoil_val/b.h5", image=np.ones((2, 3, 4)))
    with pytest.raises(InputError, match=r"2 problems\n(.*\n)*.*b.h5: the dataset 'reconstruction_rss' is not there"):
        load_manifest("fastmri_knee", tmp_path)


def test_folder_for_each_patient_with_a_mask(tmp_path: Path) -> None:
    for number in range(10):
        folder = tmp_path / f"patient{number}"
        save_nifti(folder / "T1_brain_extractedBrainExtractionBrain.nii.gz")
        save_nifti(folder / "T1_brain_extractedBrainExtractionMask.nii.gz")
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
        save_pictures(*(tmp_path / f"{above}train/{group}/{1000 + number}_{index}.jpeg" for index in (78, 79, 80)))
    save_pictures(
        *(tmp_path / f"{above}test/{group}/{number}_{78}.jpeg" for group, number in (("AD", 2000), ("NC", 2001)))
    )
    manifest = load_manifest("adni_ad_nc_2d", tmp_path)
    assert manifest.content["kind"] == "slices"
    assert [len(manifest.items(name)) for name in SPLITS] == [24, 6, 2]
    owners = splits_of_subjects(manifest)
    assert all(len(splits) == 1 for splits in owners.values())
    assert {subject for subject, splits in owners.items() if splits == {"test"}} == {"2000", "2001"}


def test_jpeg_patient_in_both_folders_is_refused(tmp_path: Path) -> None:
    save_pictures(*(tmp_path / f"train/AD/{number}_1.jpeg" for number in range(10)), tmp_path / "test/NC/3_2.jpeg")
    with pytest.raises(InputError, match="the subject '3' has files in two splits, "):
        load_manifest("adni_ad_nc_2d", tmp_path)


def test_ixi_names(tmp_path: Path) -> None:
    save_nifti(*(tmp_path / f"IXI{number:03d}-Guys-0{number}-T1.nii.gz" for number in range(100, 110)))
    (tmp_path / "IXI100-Guys-0100-T2.nii.gz").write_text("another contrast")
    manifest = load_manifest("ixi", tmp_path)
    assert sorted(splits_of_subjects(manifest)) == [f"IXI{number}" for number in range(100, 110)]


def test_folder_of_your_own_takes_either_ending(tmp_path: Path) -> None:
    save_nifti(*(tmp_path / name for name in ("a.nii", "a.nii.gz", "b.nii", "c.nii.gz", "d.nii")))
    manifest = load_manifest("nifti_folder", tmp_path)
    items = [item for name in SPLITS for item in manifest.items(name)]
    assert sorted(Path(item["label"]).name for item in items) == ["a.nii.gz", "b.nii", "c.nii.gz", "d.nii"]


def test_pictures_of_your_own_in_folders(tmp_path: Path) -> None:
    save_pictures(*(tmp_path / f"p{number}/{index}.png" for number in range(4) for index in range(3)))
    manifest = load_manifest("image_folder", tmp_path)
    assert [len(manifest.items(name)) for name in SPLITS] == [6, 3, 3]
