from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom.manifests.patterns import fields_of, fill_fields, find_files


def _touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _found(root: Path, pattern: str) -> dict[str, str]:
    return {found.path.relative_to(root).as_posix(): found.subject for found in find_files(root, pattern)}


def test_subject_folder_and_name_have_to_agree(tmp_path: Path) -> None:
    _touch(tmp_path, "s1/anat/s1_T1w.nii.gz", "s2/anat/s3_T1w.nii.gz", "s4/func/s4_T1w.nii.gz", "s5_T1w.nii.gz")
    assert _found(tmp_path, "{subject}/anat/{subject}_T1w.nii.gz") == {"s1/anat/s1_T1w.nii.gz": "s1"}
    assert _found(tmp_path, "{subject}_T1w.nii.gz") == {"s5_T1w.nii.gz": "s5"}


def test_subject_takes_as_much_as_it_can(tmp_path: Path) -> None:
    _touch(tmp_path, "002_S_0295_78.jpeg", "218391_78.jpeg", "78.jpeg")
    assert _found(tmp_path, "{subject}_{slice}.jpeg") == {
        "002_S_0295_78.jpeg": "002_S_0295",
        "218391_78.jpeg": "218391",
    }
    assert _found(tmp_path, "{site}_{subject}.jpeg")["002_S_0295_78.jpeg"] == "S_0295_78"


def test_subject_with_a_question_mark_takes_as_little(tmp_path: Path) -> None:
    _touch(tmp_path, "P001_3_12.png", "P02_4.png")
    assert _found(tmp_path, "{subject?}_{slice}.png") == {"P001_3_12.png": "P001", "P02_4.png": "P02"}
    assert fields_of("{subject?}_{slice}.png") == {"subject", "slice"}
    assert fill_fields("low/{subject?}_{slice}.png", {"subject": "P1", "slice": "2_3"}) == "low/P1_2_3.png"


def test_pattern_with_a_slash_at_its_end_finds_folders(tmp_path: Path) -> None:
    _touch(tmp_path, "dicom/a/1.dcm", "dicom/b/1.dcm", "dicom/c", "dicom/.d/1.dcm", "e/1.dcm")
    assert _found(tmp_path, "dicom/{subject}/") == {"dicom/a": "a", "dicom/b": "b"}
    assert _found(tmp_path, "dicom/{subject}") == {"dicom/c": "c"}


def test_text_of_a_pattern_stands_for_itself(tmp_path: Path) -> None:
    _touch(tmp_path, "a+b(1).nii", "aab1.nii", "axnii")
    assert _found(tmp_path, "{subject}+b(1).nii") == {"a+b(1).nii": "a"}
    assert _found(tmp_path, "{subject}.nii") == {"a+b(1).nii": "a+b(1)", "aab1.nii": "aab1"}


def test_hidden_files_and_folders_named_like_files_are_passed_over(tmp_path: Path) -> None:
    _touch(tmp_path, "._a.nii", ".b/c.nii", "d.nii/e.nii", "f.nii")
    assert _found(tmp_path, "{subject}.nii") == {"f.nii": "f"}
    assert _found(tmp_path, "{subject}/{name}.nii") == {"d.nii/e.nii": "d.nii"}


names = st.text("abcXYZ019", min_size=1, max_size=5)


@given(names, names, names)
def test_fields_filled_in_are_found_again(
    tmp_path_factory: pytest.TempPathFactory,
    subject: str,
    site: str,
    number: str,
) -> None:
    pattern = "{subject}/{site}/T1-{subject}-{site}-{number}.nii.gz"
    fields = {"subject": subject, "site": site, "number": number}
    assert fields_of(pattern) == set(fields)
    root = tmp_path_factory.mktemp("files")
    _touch(root, fill_fields(pattern, fields))
    (found,) = find_files(root, pattern)
    assert found.fields == fields
