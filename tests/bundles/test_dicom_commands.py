"""DICOM through the command of brain_mri_espcn: what comes out, where it lies, and what is refused in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
from bundle_cases import Command, refusal
from dicom_files import OBLIQUE, Layout, write_classic, write_enhanced
from pydicom.dataset import Dataset
from tiny_scans import AFFINE, tiny_volume

from custom.arrays import field_of_view_corners
from custom.scans import read_scan

LAYOUT = Layout(shape=(9, 7, 4), orientation=OBLIQUE)
SCALE = (4, 4, 1)


@pytest.fixture
def infer(run_bundle: Command) -> Callable[..., Any]:
    """Run the command on an input."""

    def run(source: Path, out: Path, **keys: Any) -> Any:
        return run_bundle("brain_mri_espcn", "inference", "inference", input=str(source), output_dir=str(out), **keys)

    return run


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _check_in_place(source: Path, result: Path, frames: int = 1) -> None:
    before, after = read_scan(source), read_scan(result)
    sizes = [n * s for n, s in zip(LAYOUT.shape, SCALE, strict=True)]
    assert list(after.shape) == [frames, *sizes]
    corners = [field_of_view_corners(scan.shape[1:], scan.affine.numpy()) for scan in (before, after)]
    np.testing.assert_allclose(corners[1], corners[0], rtol=0, atol=1e-3)
    # each voxel became a block that shows about the same, in the same units
    blocks = after.numpy().reshape(frames, 9, 4, 7, 4, 4).mean((2, 4))
    assert np.abs(blocks - before.numpy()).mean() < 0.05 * np.ptp(before.numpy())


def test_a_classic_series_becomes_a_classic_series_in_place(infer: Callable[..., Any], tmp_path: Path) -> None:
    files = write_classic(tmp_path / "knee", LAYOUT)
    infer(tmp_path / "knee", tmp_path / "out")
    assert _names(tmp_path / "out") == ["knee_sr"]
    assert _names(tmp_path / "out" / "knee_sr") == [f"IM-000{n}.dcm" for n in range(1, 5)]
    _check_in_place(tmp_path / "knee", tmp_path / "out" / "knee_sr")
    source, result = pydicom.dcmread(files[0]), pydicom.dcmread(tmp_path / "out" / "knee_sr" / "IM-0001.dcm")
    assert result.StudyInstanceUID == source.StudyInstanceUID
    assert result.SeriesInstanceUID != source.SeriesInstanceUID
    assert list(result.ImageType[:2]) == ["DERIVED", "SECONDARY"]
    assert "computed in float32, cpu (" in result.DerivationDescription
    assert "brain_mri_espcn" in str(result.ContributingEquipmentSequence[-1]).lower().replace(" ", "_")


def test_two_series_in_a_folder_are_both_done_or_the_one_that_is_chosen(
    infer: Callable[..., Any], tmp_path: Path
) -> None:
    write_classic(tmp_path / "in", LAYOUT, series_number=3, description="t1_cor")
    write_classic(tmp_path / "in", LAYOUT, series_number=8, description="t2_tse_sag")
    infer(tmp_path / "in", tmp_path / "all")
    assert _names(tmp_path / "all") == ["in_3_sr", "in_8_sr"]
    for number, series in enumerate([8, "t2_tse", "1.2.826.0.1.3680043.8.498.1.8"]):
        infer(tmp_path / "in", tmp_path / str(number), series=series)
        assert _names(tmp_path / str(number)) == ["in_8_sr"]
    assert "t1_cor" in refusal(1, infer, tmp_path / "in", tmp_path / "none", series="flair")
    assert not list((tmp_path / "none").glob("*"))


@pytest.mark.parametrize("frames", [1, 2])
def test_an_enhanced_file_becomes_one_or_single_files(infer: Callable[..., Any], tmp_path: Path, frames: int) -> None:
    layout = Layout(shape=LAYOUT.shape, orientation=OBLIQUE, frames=frames)
    source = write_enhanced(tmp_path / "a.dcm", layout)
    infer(source, tmp_path / "out")
    infer(source, tmp_path / "single", dicom_form="classic")
    assert _names(tmp_path / "out") == ["a_sr.dcm"]
    assert _names(tmp_path / "single") == ["a_sr"]
    assert len(_names(tmp_path / "single" / "a_sr")) == 4 * frames
    for result in (tmp_path / "out" / "a_sr.dcm", tmp_path / "single" / "a_sr"):
        _check_in_place(source, result, frames)
    whole, single = (read_scan(tmp_path / name) for name in ("out/a_sr.dcm", "single/a_sr"))
    np.testing.assert_array_equal(whole.numpy(), single.numpy())


def test_dicom_in_nifti_out(infer: Callable[..., Any], tmp_path: Path) -> None:
    write_classic(tmp_path / "knee", LAYOUT)
    infer(tmp_path / "knee", tmp_path / "out", output_format="nifti")
    assert _names(tmp_path / "out") == ["knee_sr.nii.gz"]
    _check_in_place(tmp_path / "knee", tmp_path / "out" / "knee_sr.nii.gz")


def test_nifti_in_dicom_out_has_no_patient(infer: Callable[..., Any], tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(tiny_volume(0), AFFINE), tmp_path / "scan.nii.gz")
    words = refusal(1, infer, tmp_path / "scan.nii.gz", tmp_path / "out", output_format="dicom")
    assert "scan.nii.gz: is not DICOM" in words
    assert "no patient" in words
    assert not list((tmp_path / "out").glob("*"))


def test_words_of_a_header_lead_nowhere(infer: Callable[..., Any], tmp_path: Path) -> None:
    def change(data: Dataset, k: int, t: int) -> Dataset:
        data.SeriesDescription, data.StudyDescription, data.PatientID = ["../../../escaped"] * 3
        # of the length of a true one and put in afterwards: pydicom writes no UID such as this
        data.SeriesInstanceUID = data.StudyInstanceUID = data.FrameOfReferenceUID = "1.2.3.4.5.6.7.8.9"
        return data

    for file in write_classic(tmp_path / "a" / "b" / "in", LAYOUT, change=change):
        file.write_bytes(file.read_bytes().replace(b"1.2.3.4.5.6.7.8.9", b"../../../../../sr"))
    write_classic(tmp_path / "a" / "b" / "in", LAYOUT, series_number=5)
    infer(tmp_path / "a" / "b" / "in", tmp_path / "a" / "b" / "out")
    assert _names(tmp_path / "a" / "b" / "out") == ["in_3_sr", "in_5_sr"]
    assert _names(tmp_path) == ["a"]
    assert _names(tmp_path / "a") == ["b"]
    assert _names(tmp_path / "a" / "b") == ["in", "out"]


def test_results_beside_their_source(infer: Callable[..., Any], tmp_path: Path) -> None:
    """Input and output the same folder: the source stays as it was, and its result is no scan of the next run."""
    files = write_classic(tmp_path / "in", LAYOUT)
    before = [file.read_bytes() for file in files]
    for _ in range(2):
        infer(tmp_path / "in", tmp_path / "in", overwrite="true")
    assert [path.name for path in (tmp_path / "in").iterdir() if path.is_dir()] == ["in_sr"]
    assert [file.read_bytes() for file in files] == before
    _check_in_place(files[0], tmp_path / "in" / "in_sr")
    words = refusal(1, infer, tmp_path / "in", tmp_path / "in")
    assert "in_sr: is there already" in words


# --- what cannot be used


def _series(change: Callable[[Dataset, int], Dataset | None]) -> Callable[[Path], None]:
    return lambda folder: write_classic(folder, Layout(shape=(6, 5, 6)), change=lambda d, k, t: change(d, k)) and None


def _at_2(**values: object) -> Callable[[Path], None]:
    def change(data: Dataset, k: int) -> Dataset:
        for keyword, value in values.items() if k == 2 else ():
            setattr(data, keyword, value)
        return data

    return _series(change)


def _without_pixels(data: Dataset, k: int) -> Dataset:
    if k == 2:
        del data.PixelData
    return data


def _truncated(folder: Path) -> None:
    file = write_classic(folder, Layout(shape=(6, 5, 6)))[2]
    file.write_bytes(file.read_bytes()[:-30])


def _nifti_named_dcm(folder: Path) -> None:
    folder.mkdir()
    nib.save(nib.Nifti1Image(tiny_volume(0), AFFINE), folder / "a.nii")
    (folder / "a.nii").rename(folder / "IM-003-0004.dcm")


def _without_image(folder: Path) -> None:
    folder.mkdir()
    (folder / "notes.txt").write_text("nothing here")


#: What is wrong, how it is made, and what the error has to say. IM-003-0004.dcm is slice 2 of 0 to 5.
BAD: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "missing slice": (
        _series(lambda data, k: None if k == 2 else data),
        ("1 of 6 slices are missing", "IM-003-0005.dcm", "IM-003-0003.dcm"),
    ),
    "unequal spacing": (_at_2(ImagePositionPatient=[-20.5, 31.25, 16.0]), ("not evenly spaced",)),
    "mixed orientations": (
        _at_2(ImageOrientationPatient=[1, 0, 0, 0, 0, -1]),
        ("2 different orientations", "IM-003-0004.dcm"),
    ),
    "no pixel data": (_series(_without_pixels), ("IM-003-0004.dcm: no pixel data",)),
    "colour": (
        _at_2(SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0),
        ("IM-003-0004.dcm: a colour image",),
    ),
    "different sizes": (_at_2(Rows=6, Columns=5), ("different sizes", "IM-003-0004.dcm")),
    "truncated": (_truncated, ("IM-003-0004.dcm", "truncated")),
    "nifti named dcm": (_nifti_named_dcm, ("IM-003-0004.dcm: not DICOM, whatever its name says",)),
    "no image": (_without_image, ("no scan found",)),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_series_is_one_clear_error_and_leaves_nothing(infer: Callable[..., Any], tmp_path: Path, case: str) -> None:
    make, expected = BAD[case]
    make(tmp_path / "in")
    words = refusal(1, infer, tmp_path / "in", tmp_path / "out")
    for part in (str(tmp_path / "in"), *expected):
        assert part in words
    assert not list((tmp_path / "out").glob("*"))


def test_one_bad_series_does_not_stop_the_others(infer: Callable[..., Any], tmp_path: Path) -> None:
    write_classic(tmp_path / "in" / "good", LAYOUT)
    _truncated(tmp_path / "in" / "bad")
    words = refusal(1, infer, tmp_path / "in", tmp_path / "out")
    assert "1 of 2 inputs failed" in words
    assert "IM-003-0004.dcm" in words
    assert _names(tmp_path / "out") == ["good_sr"]
