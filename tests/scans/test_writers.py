"""Writing results: whole or not at all, in the units of their source."""

from __future__ import annotations

import logging
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from dicom_files import Layout, content, write_classic, write_enhanced
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor
from PIL import Image
from tiny_scans import ramp

from custom.errors import InputError
from custom.scans import Provenance, ResultOptions, ScanHeader, check_output_dir, read_scan, write_result, write_scan

AFFINE = np.array([[0.0, 0.0, -3.0, 90.0], [-0.7, 0.0, 0.0, 80.0], [0.0, 0.7, 0.0, -70.0], [0.0, 0.0, 0.0, 1.0]])


# --- values


def test_integers_are_rounded_and_clipped_never_wrapped(tmp_path: Path) -> None:
    values = torch.tensor([[[-5.0, 0.49, 0.51, 254.6, 300.0, 1e9]]])
    write_scan(values, AFFINE, ScanHeader(stored_dtype="uint8"), tmp_path / "a.nii")
    stored = nib.load(tmp_path / "a.nii")
    assert stored.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(stored.get_fdata()[0], (0, 0, 1, 255, 255, 255))


@given(slope=st.sampled_from([0.25, 2.3617, 1e-3]), intercept=st.sampled_from([0.0, -100.0, 7.5]))
def test_source_slope_keeps_the_units(tmp_path_factory: pytest.TempPathFactory, slope: float, intercept: float) -> None:
    path = tmp_path_factory.mktemp("slope") / "a.nii"
    values = ramp(4, 5, 6) * slope * 3.3 + intercept
    write_scan(values, AFFINE, ScanHeader(stored_dtype="int16", slope=slope, intercept=intercept), path)
    scan = read_scan(path)
    assert scan.meta["header"].stored_dtype == "int16"
    assert scan.meta["header"].slope == pytest.approx(slope)
    # half a stored unit, and float32 rounding of the values
    assert float((scan.as_tensor() - values).abs().max()) <= 0.5 * slope + 1e-4


def test_frames_are_the_fourth_axis(tmp_path: Path) -> None:
    """Also those of a slope, and of two axes, which become those of one slice."""
    values = torch.arange(48.0).reshape(2, 3, 4, 2) * 0.25 - 3.0
    header = ScanHeader(stored_dtype="int16", slope=0.25, intercept=-3.0, frame_axis="time", frame_values=(0, 30))
    write_scan(values, AFFINE, header, tmp_path / "a.nii")
    stored = nib.load(tmp_path / "a.nii")
    assert (stored.get_data_dtype(), stored.shape) == (np.int16, (3, 4, 2, 2))
    assert stored.header.get_xyzt_units()[1] == "sec"
    assert float(stored.header["pixdim"][4]) == pytest.approx(0.03)
    torch.testing.assert_close(read_scan(tmp_path / "a.nii").as_tensor(), values)
    write_scan(values[..., 0], AFFINE, header, tmp_path / "b.nii")
    assert nib.load(tmp_path / "b.nii").shape == (3, 4, 1, 2)
    torch.testing.assert_close(read_scan(tmp_path / "b.nii").as_tensor(), values[..., :1])


def test_bfloat16_is_written_as_float32(tmp_path: Path) -> None:
    write_scan(ramp(2, 3, 4).to(torch.bfloat16), AFFINE, ScanHeader(), tmp_path / "a.nii")
    np.testing.assert_array_equal(nib.load(tmp_path / "a.nii").get_fdata(), ramp(2, 3, 4)[0].numpy())


@pytest.mark.parametrize("name", ["Some model", "A model of the University of Würzburg for hearts"])
def test_what_computed_a_result_is_written_into_it(tmp_path: Path, name: str) -> None:
    made = Provenance(name, "1.2.3", computation="float32, cpu (x86_64 AVX2), 2 threads, torch 2.13.0")
    write_scan(ramp(4, 5, 6), AFFINE, ScanHeader(), tmp_path / "a.nii", provenance=made)
    stored = nib.load(tmp_path / "a.nii").header["descrip"].item().decode("ascii")
    assert stored == f"{made.computation}; {name.replace('ü', '?')} 1.2.3"[:79]
    write_scan(ramp(4, 5), AFFINE, ScanHeader(), tmp_path / "a.png", provenance=made)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.text["Description"] == made.description  # type: ignore[attr-defined]
    assert f"computed in {made.computation}" in made.description


# --- what is refused, with nothing left behind


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 20 kB: writing fails in the middle, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.png"])
@pytest.mark.usefixtures("small_files")
def test_full_disk_leaves_nothing(tmp_path: Path, name: str) -> None:
    noise = torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (1, 300, 400)).astype(np.float32))
    with pytest.raises(InputError, match=rf"{name}: cannot be written .*free space"):
        write_scan(noise, np.eye(4), ScanHeader(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_failure_keeps_what_was_there(tmp_path: Path) -> None:
    write_scan(ramp(3, 4, 5), AFFINE, ScanHeader(), tmp_path / "a.nii")
    before = (tmp_path / "a.nii").read_bytes()
    with pytest.raises(InputError, match=r"is there already; .*--overwrite true"):
        write_scan(ramp(6, 7, 8), AFFINE, ScanHeader(), tmp_path / "a.nii")
    bad = ramp(3, 4, 5)
    bad.view(-1)[:2] = torch.tensor([float("nan"), float("inf")])
    with pytest.raises(InputError, match="2 of 60 voxels of the result are NaN or infinite"):
        write_scan(bad, AFFINE, ScanHeader(), tmp_path / "a.nii", overwrite=True)
    assert (tmp_path / "a.nii").read_bytes() == before
    write_scan(ramp(6, 7, 8), AFFINE, ScanHeader(), tmp_path / "a.nii", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.nii"]
    assert nib.load(tmp_path / "a.nii").shape == (6, 7, 8)


#: File name, what is given, and words of the error.
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "a file as folder": ("file/a.nii", {}, "cannot be written"),
    "no such place": ("/proc/none/a.nii", {}, "cannot be written"),
    "singular affine": ("a.nii", {"affine": np.diag([1.0, 0.0, 1.0, 1.0])}, "singular"),
    "long axis": ("a.nii", {"array": torch.zeros(1, 2**15, 1, 1)}, r"a\.nii: a result of 32768 x 1 x 1 voxels"),
}
#: The same of what no input and no command can bring about.
FAULTS_OF_THE_CODE: dict[str, tuple[str, dict[str, Any], str]] = {
    "unknown ending": ("a.dcm", {}, "not a kind of file that can be written"),
    "unknown type": ("a.nii", {"header": ScanHeader(stored_dtype="complex64")}, "cannot write voxels as 'complex64'"),
    "volume as picture": ("a.png", {}, "a picture has two axes and this has 3"),
    "no axis of frames": ("a.nii", {"array": ramp(3, 4, 5)[0]}, r"as many frames as its source, here 1; got \(3"),
    "frames without values": ("a.nii", {"array": torch.rand(2, 3, 4, 5)}, r"here 1; got \(2"),
    "frames of a picture": (
        "a.png",
        {"array": torch.rand(2, 4, 5), "header": ScanHeader(frame_values=(0, 1))},
        "a picture has two axes",
    ),
    "deep JPEG": ("a.jpg", {"array": ramp(4, 5), "header": ScanHeader(stored_dtype="uint16")}, "JPEG holds 8 bits"),
}


@pytest.mark.parametrize("case", REFUSED | FAULTS_OF_THE_CODE)
def test_what_cannot_be_written_is_refused(tmp_path: Path, case: str) -> None:
    name, changes, words = (REFUSED | FAULTS_OF_THE_CODE)[case]
    (tmp_path / "file").write_text("x")
    given = {"array": ramp(3, 4, 5), "affine": AFFINE, "header": ScanHeader(), "path": tmp_path / name}
    with pytest.raises(ValueError, match=words) as caught:
        write_scan(**{**given, **changes})
    assert isinstance(caught.value, InputError) == (case in REFUSED)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# --- results of scans: the type and the format of their source


def _written(scan: MetaTensor, folder: Path, **options: Any) -> Path:
    return write_result(scan, scan.affine, scan.meta["header"], ResultOptions(folder, **options))


def _save(path: Path, dtype: Any = np.int16) -> Path:
    nib.save(nib.Nifti1Image(np.arange(24, dtype=dtype).reshape(2, 3, 4), AFFINE, dtype=dtype), path)
    return path


def test_a_result_may_have_the_type_and_slope_of_its_source(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), AFFINE)
    image.header.set_slope_inter(0.5, 10.0)
    image.set_sform(AFFINE, 4)
    nib.save(image, tmp_path / "a.nii.gz")
    scan = read_scan(tmp_path / "a.nii.gz")
    written = _written(scan + 0.1, tmp_path / "out", dtype="source")
    assert written == tmp_path / "out" / "a_sr.nii.gz"
    result = read_scan(written)
    header = result.meta["header"]
    assert (header.stored_dtype, header.slope, header.intercept, header.xform_code) == ("int16", 0.5, 10.0, 4)
    torch.testing.assert_close(result.as_tensor(), scan.as_tensor(), atol=1e-4, rtol=0)


def test_float32_is_the_default(tmp_path: Path) -> None:
    scan = read_scan(_save(tmp_path / "a.nii"))
    result = read_scan(_written(scan + 0.25, tmp_path / "out"))
    assert result.meta["header"].stored_dtype == "float32"
    np.testing.assert_array_equal(result.as_tensor(), scan.as_tensor() + 0.25)


def test_a_type_that_cannot_be_written_becomes_float32(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scan = read_scan(_save(tmp_path / "a.nii", np.int64))
    with caplog.at_level(logging.WARNING):
        written = _written(scan, tmp_path / "out", dtype="source")
    assert "a.nii: results cannot be written as int64; float32 is used" in caplog.text
    assert read_scan(written).meta["header"].stored_dtype == "float32"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pictures_keep_their_bits(tmp_path: Path, dtype: type) -> None:
    Image.fromarray(np.arange(48).reshape(6, 8).astype(dtype) * 5).save(tmp_path / "a.png")
    scan = read_scan(tmp_path / "a.png")
    written = _written(scan.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2) + 0.4, tmp_path / "out")
    with Image.open(written) as picture:
        assert np.asarray(picture).dtype == dtype
        np.testing.assert_array_equal(np.asarray(picture)[::2, ::2], np.arange(48).reshape(6, 8) * 5)


def test_a_result_of_an_unknown_scan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the result does not know the scan that it was made from"):
        write_result(torch.rand(1, 4, 5, 6), AFFINE, ScanHeader(), ResultOptions(tmp_path))


def test_results_of_dicom_are_dicom(tmp_path: Path) -> None:
    write_classic(tmp_path / "knee")
    write_enhanced(tmp_path / "whole.dcm", Layout(frames=2))
    for name, result in (("knee", "knee_sr"), ("whole.dcm", "whole_sr.dcm")):
        scan = read_scan(tmp_path / name)
        written = _written(scan, tmp_path / "out")
        assert written == tmp_path / "out" / result
        back = read_scan(written)
        assert torch.equal(back.as_tensor(), scan.as_tensor())
        np.testing.assert_allclose(back.affine.numpy(), scan.affine.numpy(), atol=1e-6)
        assert back.meta["header"].frame_values == scan.meta["header"].frame_values


def test_dicom_with_frames_as_nifti(tmp_path: Path) -> None:
    scan = read_scan(write_enhanced(tmp_path / "whole.dcm", Layout(frames=2)))
    image = nib.load(_written(scan * 0.5, tmp_path / "out", dtype="source", output_format="nifti"))
    np.testing.assert_array_equal(image.get_fdata(), 0.5 * content(Layout(frames=2)))
    np.testing.assert_allclose(image.affine, scan.affine.numpy(), atol=1e-5)
    first, second = scan.meta["header"].frame_values
    assert image.header.get_zooms()[3] == pytest.approx((second - first) / 1000.0)
    assert image.header.get_xyzt_units() == ("mm", "sec")


@pytest.mark.parametrize("output_format", [None, "nifti"])
def test_frames_that_are_missing_are_refused(tmp_path: Path, output_format: str | None) -> None:
    scan = read_scan(write_enhanced(tmp_path / "whole.dcm", Layout(frames=2)))
    with pytest.raises(ValueError, match=r"as many frames as its source, here 2; got \(1,"):
        _written(scan[:1], tmp_path / "out", output_format=output_format)
    assert not (tmp_path / "out").exists()


# --- the folder of the results


def test_output_dir_is_made_and_left_empty(tmp_path: Path) -> None:
    folder = check_output_dir(tmp_path / "new" / "folder", patterns=("*_sr.*",))
    assert folder.is_dir()
    assert list(folder.iterdir()) == []


def test_output_dir_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="a file of that name is in the way"):
            check_output_dir(folder)
    with pytest.raises(InputError, match="output_dir /proc/none: cannot be written to"):
        check_output_dir("/proc/none")


def test_output_dir_that_holds_results(tmp_path: Path) -> None:
    for number in range(7):
        (tmp_path / f"s{number}_sr.nii.gz").write_text("x")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(
        InputError, match=r"holds results already \(s0_sr\.nii\.gz, .* and 2 more\); .*--overwrite true"
    ):
        check_output_dir(tmp_path, patterns=("*_sr.nii.gz", "metrics.csv"))
    assert check_output_dir(tmp_path, overwrite=True, patterns=("*_sr.nii.gz",)) == tmp_path
    assert check_output_dir(tmp_path, patterns=("metrics.csv",)) == tmp_path
