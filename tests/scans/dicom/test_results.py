"""DICOM results: their names, their way out of transforms, and NIfTI in their place."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from dicom_files import Layout, content, write_classic, write_enhanced
from monai.data import MetaTensor
from monai.transforms import SaveImage

from custom.errors import InputError, UsageError
from custom.scans import Provenance, list_scans, read_scan, result_path, result_paths
from custom.scans.dicom import read_stack, stack_of
from custom.scans.dicom.image_writer import DicomSeriesWriter
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


def _names(folder: Path, **kwargs: str) -> set[str]:
    study = folder / "study"
    paths = result_paths(list_scans(study, folder / "out"), folder / "out", root=study, **kwargs)  # type: ignore[arg-type]
    return {path.relative_to(folder / "out").as_posix() for path in paths}


def test_names_of_results(folder: Path) -> None:
    assert _names(folder) == {"knee_sr", "two_4_sr", "two_5_sr", "whole_sr.dcm", "other_sr.nii.gz"}
    assert _names(folder, dicom_form="classic") == {"knee_sr", "two_4_sr", "two_5_sr", "whole_sr", "other_sr.nii.gz"}
    nifti = {f"{name}_sr.nii.gz" for name in ("knee", "two_4", "two_5", "whole", "other")}
    assert _names(folder, output_format="nifti") == nifti


def test_folders_between_are_made_anew(folder: Path) -> None:
    first = list_scans(folder / "study" / "knee")[0]
    assert result_path(first, "out", root=folder) == Path("out/study/knee_sr")
    assert result_path(first, "out", root=folder / "study" / "knee") == Path("out/knee_sr")
    assert result_path(folder / "study" / "knee", "out") == Path("out/knee_sr")
    assert result_path(folder / "study" / "whole.dcm", "out", root=folder) == Path("out/study/whole_sr.dcm")


def test_names_that_are_refused(folder: Path) -> None:
    study = folder / "study"
    with pytest.raises(InputError, match=r"other\.nii\.gz: is not DICOM.*no patient"):
        result_path(study / "other.nii.gz", "out", output_format="dicom")
    with pytest.raises(InputError, match="would replace its source"):
        result_path(list_scans(study / "knee")[0], study, suffix="", overwrite=True)
    with pytest.raises(InputError, match="would lie outside"):
        result_path(list_scans(study / "knee")[0], study, suffix="/../../x")
    with pytest.raises(UsageError, match="output_format 'png'"):
        result_path(study / "whole.dcm", "out", output_format="png")
    with pytest.raises(UsageError, match="dicom_form 'new'"):
        result_path(study / "whole.dcm", "out", dicom_form="new")
    (folder / "out" / "knee_sr").mkdir(parents=True)
    with pytest.raises(InputError, match="is there already"):
        result_path(list_scans(study / "knee")[0], folder / "out")


def test_a_stack_that_cannot_be_read_still_gets_a_name(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"no DICOM")
    assert result_path(tmp_path / "a.dcm", "out") == Path("out/a_sr")


def test_results_of_dicom_are_dicom(folder: Path) -> None:
    for name in ("knee", "whole.dcm"):
        scan = read_scan(folder / "study" / name)
        item = SaveScand("pred", folder / "out", provenance=Provenance("a model"))({"pred": scan})
        back = read_scan(item["pred_path"])
        assert torch.equal(back.as_tensor(), scan.as_tensor())
        np.testing.assert_allclose(back.affine.numpy(), scan.affine.numpy(), atol=1e-6)
        assert back.meta["frame_values"] == scan.meta["frame_values"]
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["knee_sr", "whole_sr.dcm"]


def test_frames_as_nifti(folder: Path) -> None:
    scan = read_scan(folder / "study" / "whole.dcm")
    item = SaveScand("pred", folder / "out", dtype="source", output_format="nifti")({"pred": scan * 0.5})
    image = nib.load(item["pred_path"])
    np.testing.assert_array_equal(image.get_fdata(), 0.5 * content(Layout(frames=2)))
    np.testing.assert_allclose(image.affine, scan.affine.numpy(), atol=1e-5)
    first, second = json.loads(scan.meta["frame_values"])
    assert image.header.get_zooms()[3] == pytest.approx((second - first) / 1000.0)
    assert image.header.get_xyzt_units() == ("mm", "sec")


def test_frames_that_are_missing_are_refused(folder: Path) -> None:
    scan = read_scan(folder / "study" / "whole.dcm")
    for output_format in (None, "nifti"):
        with pytest.raises(InputError, match=r"as many frames as its source .*here 2; got \(1,"):
            SaveScand("pred", folder / "out", output_format=output_format)({"pred": scan[:1]})
    assert not list((folder / "out").rglob("*"))


@pytest.mark.parametrize("name", ["knee", "whole.dcm"])
def test_monai_saves_a_series(folder: Path, name: str) -> None:
    source = folder / "study" / name
    scan = read_scan(source)
    save = SaveImage(
        folder / "out", output_postfix="sr", output_ext=".dcm", writer=DicomSeriesWriter, separate_folder=False
    )
    save.set_options(init_kwargs={"provenance": Provenance("a model"), "dicom_form": "classic"})
    save(scan)
    (written,) = (folder / "out").iterdir()
    assert written.is_dir()
    expected = read_stack(stack_of(source))
    np.testing.assert_array_equal(read_stack(stack_of(written)).array, expected.array)
    np.testing.assert_allclose(read_stack(stack_of(written)).affine, expected.affine, atol=1e-6)


def test_monai_says_when_there_is_nobody_to_copy(tmp_path: Path) -> None:
    save = SaveImage(tmp_path, output_ext=".dcm", writer=DicomSeriesWriter)
    with pytest.raises(RuntimeError, match="does not know the DICOM scan"):
        save(MetaTensor(torch.zeros(1, 2, 2, 2)))
