"""DICOM results: their names, their way out of transforms, and NIfTI in their place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from dicom_files import Layout, content, write_classic, write_enhanced

from custom.errors import InputError
from custom.scans import Provenance, ResultOptions, find_scan, list_scans, read_scan, result_path, result_paths
from custom.transforms import SaveScand


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One series in `study/knee`, two in `study/two`, an Enhanced file and a NIfTI."""
    write_classic(tmp_path / "study" / "knee", Layout(), series_number=3)
    write_classic(tmp_path / "study" / "two", Layout(), series_number=4)
    write_classic(tmp_path / "study" / "two", Layout(), series_number=5)
    write_enhanced(tmp_path / "study" / "whole.dcm", Layout(frames=2))
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4)), tmp_path / "study" / "other.nii.gz")
    return tmp_path


def _names(folder: Path, **options: Any) -> set[str]:
    study = folder / "study"
    options = ResultOptions(folder / "out", root=study, **options)
    paths = result_paths(list_scans(study, folder / "out"), options)
    return {path.relative_to(folder / "out").as_posix() for path in paths}


def test_names_of_results(folder: Path) -> None:
    assert _names(folder) == {"knee_sr", "two_4_sr", "two_5_sr", "whole_sr.dcm", "other_sr.nii.gz"}
    assert _names(folder, dicom_form="classic") == {"knee_sr", "two_4_sr", "two_5_sr", "whole_sr", "other_sr.nii.gz"}
    nifti = {f"{name}_sr.nii.gz" for name in ("knee", "two_4", "two_5", "whole", "other")}
    assert _names(folder, output_format="nifti") == nifti


def test_folders_between_are_made_anew(folder: Path) -> None:
    knee, whole = find_scan(folder / "study" / "knee"), find_scan(folder / "study" / "whole.dcm")
    for scan, root, expected in [
        (knee, folder, "out/study/knee_sr"),
        (knee, folder / "study" / "knee", "out/knee_sr"),
        (knee, None, "out/knee_sr"),
        (whole, folder, "out/study/whole_sr.dcm"),
    ]:
        assert result_path(scan, ResultOptions("out", root=root)) == Path(expected)


def test_names_that_are_refused(folder: Path) -> None:
    knee = find_scan(folder / "study" / "knee")
    other = find_scan(folder / "study" / "other.nii.gz")
    with pytest.raises(InputError, match=r"other\.nii\.gz: is not DICOM.*no patient"):
        result_path(other, ResultOptions("out", output_format="dicom"))
    with pytest.raises(InputError, match="a classic series does not say all"):
        result_path(knee, ResultOptions("out", dicom_form="enhanced"))
    write_classic(folder / "knee_sr" / "knee")
    with pytest.raises(InputError, match="would replace its source"):
        result_path(find_scan(folder / "knee_sr" / "knee"), ResultOptions(folder, overwrite=True))
    (folder / "out" / "knee_sr").mkdir(parents=True)
    with pytest.raises(InputError, match="is there already"):
        result_path(knee, ResultOptions(folder / "out"))


def test_a_scan_that_cannot_be_read_has_no_result(tmp_path: Path) -> None:
    files = write_classic(tmp_path / "knee")
    write_classic(tmp_path / "hip", series_number=8)
    files[1].unlink()
    scans = list_scans(tmp_path)
    assert [bool(scan.problem) for scan in scans] == [False, True]
    assert result_paths(scans, ResultOptions(tmp_path / "out")) == [tmp_path / "out" / "hip_sr"]


def test_results_of_dicom_are_dicom(folder: Path) -> None:
    for name in ("knee", "whole.dcm"):
        scan = read_scan(folder / "study" / name)
        item = SaveScand("pred", ResultOptions(folder / "out"), provenance=Provenance("a model"))({"pred": scan})
        back = read_scan(item["pred_path"])
        assert torch.equal(back.as_tensor(), scan.as_tensor())
        np.testing.assert_allclose(back.affine.numpy(), scan.affine.numpy(), atol=1e-6)
        assert back.meta["header"].frame_values == scan.meta["header"].frame_values
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["knee_sr", "whole_sr.dcm"]


def test_frames_as_nifti(folder: Path) -> None:
    scan = read_scan(folder / "study" / "whole.dcm")
    item = SaveScand("pred", ResultOptions(folder / "out", dtype="source", output_format="nifti"))({"pred": scan * 0.5})
    image = nib.load(item["pred_path"])
    np.testing.assert_array_equal(image.get_fdata(), 0.5 * content(Layout(frames=2)))
    np.testing.assert_allclose(image.affine, scan.affine.numpy(), atol=1e-5)
    first, second = scan.meta["header"].frame_values
    assert image.header.get_zooms()[3] == pytest.approx((second - first) / 1000.0)
    assert image.header.get_xyzt_units() == ("mm", "sec")


def test_frames_that_are_missing_are_refused(folder: Path) -> None:
    scan = read_scan(folder / "study" / "whole.dcm")
    for output_format in (None, "nifti"):
        with pytest.raises(InputError, match=r"as many frames as its source, here 2; got \(1,"):
            SaveScand("pred", ResultOptions(folder / "out", output_format=output_format))({"pred": scan[:1]})
    assert not list((folder / "out").rglob("*"))
