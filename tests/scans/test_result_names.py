"""Names of results: after their sources, beside each other, never over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dicom_files import Layout, write_classic, write_enhanced

from custom.errors import InputError
from custom.scans import ResultOptions, ScanReference, find_scan, list_scans, result_path, result_paths


def _found(path: Path) -> ScanReference:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    return find_scan(path)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """One series in `knee`, two in `two`, an Enhanced file and a NIfTI."""
    study = tmp_path / "study"
    write_classic(study / "knee", Layout(), series_number=3)
    write_classic(study / "two", Layout(), series_number=4)
    write_classic(study / "two", Layout(), series_number=5)
    write_enhanced(study / "whole.dcm", Layout(frames=2))
    _found(study / "other.nii.gz")
    return study


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("brain.nii.gz", "brain_sr.nii.gz"),
        ("brain.nii", "brain_sr.nii"),
        ("a.b.NII.GZ", "a.b_sr.nii.gz"),
        ("slice.png", "slice_sr.png"),
        ("slice.JPG", "slice_sr.png"),
    ],
)
def test_names_of_files(tmp_path: Path, source: str, name: str) -> None:
    assert result_path(_found(tmp_path / source), ResultOptions("out")) == Path("out") / name


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, {"knee_sr", "two_4_sr", "two_5_sr", "whole_sr.dcm", "other_sr.nii.gz"}),
        ({"dicom_form": "classic"}, {"knee_sr", "two_4_sr", "two_5_sr", "whole_sr", "other_sr.nii.gz"}),
        (
            {"output_format": "nifti"},
            {f"{name}_sr.nii.gz" for name in ("knee", "two_4", "two_5", "whole", "other")},
        ),
    ],
    ids=["as input", "classic", "nifti"],
)
def test_names_of_series(study: Path, options: dict[str, Any], names: set[str]) -> None:
    paths = result_paths(list_scans(study), ResultOptions("out", root=study, **options))
    assert {path.relative_to("out").as_posix() for path in paths} == names


def test_folders_below_the_root_are_made_anew(study: Path) -> None:
    knee, whole = find_scan(study / "knee"), find_scan(study / "whole.dcm")
    brain = _found(study / "p1" / "t1.nii")
    for scan, root, expected in [
        (knee, study.parent, "out/study/knee_sr"),
        (knee, study / "knee", "out/knee_sr"),
        (knee, None, "out/knee_sr"),
        (whole, study.parent, "out/study/whole_sr.dcm"),
        (brain, study, "out/p1/t1_sr.nii"),
        (brain, study / "knee", "out/t1_sr.nii"),
    ]:
        assert result_path(scan, ResultOptions("out", root=root)) == Path(expected)


def test_names_that_are_refused(study: Path) -> None:
    knee, other = find_scan(study / "knee"), find_scan(study / "other.nii.gz")
    with pytest.raises(InputError, match=r"other\.nii\.gz: is not DICOM.*no patient"):
        result_path(other, ResultOptions("out", output_format="dicom"))
    with pytest.raises(InputError, match="a picture has no place in space"):
        result_path(_found(study / "b.png"), ResultOptions("out", output_format="nifti"))
    with pytest.raises(InputError, match="a classic series does not say all"):
        result_path(knee, ResultOptions("out", dicom_form="enhanced"))
    write_classic(study / "knee_sr" / "knee")
    with pytest.raises(InputError, match="would replace its source"):
        result_path(find_scan(study / "knee_sr" / "knee"), ResultOptions(study, overwrite=True))


def test_a_result_is_not_replaced_unasked(study: Path) -> None:
    out = study.parent / "out"
    (out / "knee_sr").mkdir(parents=True)
    (out / "other_sr.nii.gz").touch()
    for name in ("knee", "other.nii.gz"):
        scan = find_scan(study / name)
        with pytest.raises(InputError, match=r"_sr.*: is there already; .*--overwrite true"):
            result_path(scan, ResultOptions(out))
        assert result_path(scan, ResultOptions(out, overwrite=True)).exists()


def test_two_sources_of_one_result_are_refused(tmp_path: Path) -> None:
    sources = [_found(tmp_path / "p1" / "t1.nii"), _found(tmp_path / "p2" / "t1.nii")]
    assert len(result_paths(sources, ResultOptions(tmp_path / "out", root=tmp_path))) == 2
    with pytest.raises(InputError, match=r"the result of both .*p1/t1\.nii and .*p2/t1\.nii"):
        result_paths(sources, ResultOptions(tmp_path / "out"))


def test_a_scan_that_cannot_be_read_has_no_result(tmp_path: Path) -> None:
    files = write_classic(tmp_path / "knee")
    write_classic(tmp_path / "hip", series_number=8)
    files[1].unlink()
    scans = list_scans(tmp_path)
    assert [bool(scan.problem) for scan in scans] == [False, True]
    assert result_paths(scans, ResultOptions(tmp_path / "out")) == [tmp_path / "out" / "hip_sr"]
