from __future__ import annotations

import logging
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation

from custom.arrays.geometry import affine_distance
from custom.errors import InputError
from custom.scans import Provenance, ResultOptions, ScanHeader, ScanReference, find_scan, read_scan
from custom.scans.result_names import result_path, result_paths
from custom.scans.writers import check_output_dir, write_scan

AFFINE = np.array([[0.0, 0.0, -3.0, 90.0], [-0.7, 0.0, 0.0, 80.0], [0.0, 0.7, 0.0, -70.0], [0.0, 0.0, 0.0, 1.0]])


def _ramp(*shape: int) -> torch.Tensor:
    return torch.arange(float(np.prod(shape))).reshape(1, *shape)


# --- what is written


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_nifti_holds_values_place_and_unit(tmp_path: Path, name: str) -> None:
    write_scan(_ramp(4, 5, 6) + 0.25, AFFINE, ScanHeader(), tmp_path / name)
    image = nib.load(tmp_path / name)
    np.testing.assert_array_equal(image.get_fdata(), _ramp(4, 5, 6)[0].numpy() + 0.25)
    assert image.get_data_dtype() == np.float32
    assert image.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(image.header.get_zooms(), (0.7, 0.7, 3.0), rtol=1e-6)
    for form, code in (image.get_sform(coded=True), image.get_qform(coded=True)):
        assert code == 1
        np.testing.assert_allclose(form, AFFINE, atol=1e-5)


@pytest.mark.parametrize("name", ["Some model", "A model of the University of Würzburg for hearts"])
def test_what_computed_a_result_is_written_into_it(tmp_path: Path, name: str) -> None:
    made = Provenance(name, "1.2.3", computation="float32, cpu (x86_64 AVX2), 2 threads, torch 2.13.0")
    write_scan(_ramp(4, 5, 6), AFFINE, ScanHeader(), tmp_path / "a.nii", provenance=made)
    stored = nib.load(tmp_path / "a.nii").header["descrip"].item().decode("ascii")
    assert stored == f"{made.computation}; {name.replace('ü', '?')} 1.2.3"[:79]
    write_scan(_ramp(4, 5), AFFINE, ScanHeader(), tmp_path / "a.png", provenance=made)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.text["Description"] == made.description  # type: ignore[attr-defined]
    assert f"computed in {made.computation}" in made.description


def test_code_and_unit_of_the_source_are_kept(tmp_path: Path) -> None:
    write_scan(_ramp(4, 5, 6), AFFINE, ScanHeader(xform_code=4, space_unit="micron"), tmp_path / "a.nii")
    header = nib.load(tmp_path / "a.nii").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (4, 4)
    assert header.get_xyzt_units()[0] == "micron"


def test_unknown_code_and_unit_become_scanner_and_mm(tmp_path: Path) -> None:
    write_scan(_ramp(4, 5, 6), AFFINE, ScanHeader(xform_code=0, space_unit="unknown"), tmp_path / "a.nii")
    header = nib.load(tmp_path / "a.nii").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
    assert header.get_xyzt_units()[0] == "mm"


def test_integers_are_rounded_and_clipped_never_wrapped(tmp_path: Path) -> None:
    values = torch.tensor([[[-5.0, 0.49, 0.51, 254.6, 300.0, 1e9]]])
    write_scan(values, AFFINE, ScanHeader(stored_dtype="uint8"), tmp_path / "a.nii")
    stored = nib.load(tmp_path / "a.nii")
    assert stored.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(stored.get_fdata()[0], (0, 0, 1, 255, 255, 255))


@given(slope=st.sampled_from([0.25, 2.3617, 1e-3]), intercept=st.sampled_from([0.0, -100.0, 7.5]))
def test_source_slope_keeps_the_units(tmp_path_factory: pytest.TempPathFactory, slope: float, intercept: float) -> None:
    path = tmp_path_factory.mktemp("slope") / "a.nii"
    values = _ramp(4, 5, 6) * slope * 3.3 + intercept
    write_scan(values, AFFINE, ScanHeader(stored_dtype="int16", slope=slope, intercept=intercept), path)
    scan = read_scan(path)
    assert scan.meta["header"].stored_dtype == "int16"
    assert scan.meta["header"].slope == pytest.approx(slope)
    # half a stored unit, and float32 rounding of the values
    assert float((scan.as_tensor() - values).abs().max()) <= 0.5 * slope + 1e-4


def test_bfloat16_is_written_as_float32(tmp_path: Path) -> None:
    write_scan(_ramp(2, 3, 4).to(torch.bfloat16), AFFINE, ScanHeader(), tmp_path / "a.nii")
    np.testing.assert_array_equal(nib.load(tmp_path / "a.nii").get_fdata(), _ramp(2, 3, 4)[0].numpy())


@pytest.mark.parametrize(("dtype", "largest"), [("uint8", 255), ("uint16", 65535)])
def test_png_keeps_its_bits_and_is_clipped(tmp_path: Path, dtype: str, largest: int) -> None:
    values = torch.tensor([[[-3.0, 0.6, 100.4], [largest - 0.6, largest, largest + 40.0]]])
    write_scan(values, np.eye(4), ScanHeader(stored_dtype=dtype), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), [[0, 1, 100], [largest - 1, largest, largest]])
    assert read_scan(tmp_path / "a.png").meta["header"].stored_dtype == dtype


def test_jpeg_of_eight_bits(tmp_path: Path) -> None:
    values = torch.linspace(0, 200, 32 * 24).reshape(1, 32, 24)
    write_scan(values, np.eye(4), ScanHeader(), tmp_path / "a.jpg")
    assert float((read_scan(tmp_path / "a.jpg").as_tensor() - values).abs().max()) < 6


# --- where it lies: a full-size header, where float32 in the qform hurts most

axes_orders = st.permutations(range(3))
signs = st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3)
# Not nearer to half a turn than 5 degrees: the next test is about those.
angles = st.tuples(*[st.integers(-8, 8).map(lambda steps: 5.0 * steps)] * 3)
spacings = st.tuples(*[st.sampled_from([0.175, 0.7, 1.0, 3.0])] * 3)
origins = st.tuples(*[st.floats(-200.0, 200.0)] * 3)


def _affine(order: list[int], sign: tuple, angle: tuple, spacing: tuple, origin: tuple) -> np.ndarray:
    affine = np.eye(4)
    permuted = np.eye(3)[:, order] * sign
    affine[:3, :3] = Rotation.from_euler("xyz", angle, degrees=True).as_matrix() @ permuted * spacing
    affine[:3, 3] = origin
    return affine


@given(axes_orders, signs, angles, spacings, origins)
@example([0, 1, 2], (-1.0, -1.0, 1.0), (9.0, 5.0, 0.3), (3.0, 0.7, 3.0), (120.0, -99.5, 33.0))  # near half a turn
@example([0, 1, 2], (-1.0, -1.0, 1.0), (9.0, 3.0, -1.1), (0.7, 0.7, 3.0), (120.0, 100.0, -90.0))
@example([2, 0, 1], (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (0.7, 0.7, 3.0), (-11.0, 22.0, 33.0))
def test_sform_and_qform_place_a_whole_head_alike(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], sign: tuple, angle: tuple, spacing: tuple, origin: tuple
) -> None:
    shape = (64, 3, 61)  # long enough for a lever, thin enough to be quick
    affine = _affine(order, sign, angle, spacing, origin)
    path = tmp_path_factory.mktemp("place") / "a.nii"
    try:
        write_scan(torch.zeros(1, *shape), affine, ScanHeader(stored_dtype="uint8"), path)
        image = nib.load(path)
    finally:
        shutil.rmtree(path.parent)
    sform, sform_code = image.get_sform(coded=True)
    qform, qform_code = image.get_qform(coded=True)
    assert sform_code == qform_code == 1
    assert affine_distance(shape, affine, sform) < 1e-3
    assert affine_distance(shape, affine, qform) < 1e-3
    assert nib.aff2axcodes(sform) == nib.aff2axcodes(qform) == nib.aff2axcodes(affine)


def test_qform_that_would_mislead_is_marked_as_not_set(tmp_path: Path) -> None:
    """Within a fraction of a degree of half a turn float32 has no qform for an affine; the sform is still right."""
    shape = (128, 3, 128)
    for degrees in (0.0, 0.001, 0.01, 0.03, 0.05, 0.1, 0.3):
        affine = _affine([0, 1, 2], (-1.0, -1.0, 1.0), (0.0, 0.0, degrees), (1.0, 1.0, 1.0), (90.0, 80.0, 70.0))
        write_scan(torch.zeros(1, *shape), affine, ScanHeader(stored_dtype="uint8"), tmp_path / "a.nii", overwrite=True)
        image = nib.load(tmp_path / "a.nii")
        assert affine_distance(shape, affine, image.get_sform()) < 1e-3
        qform, code = image.get_qform(coded=True)
        assert code == 0 or affine_distance(shape, affine, qform) < 0.05
        assert code == 1 or 0.001 <= degrees <= 0.1


def test_shear_stays_in_the_sform_with_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    affine = np.eye(4)
    affine[0, 1] = 0.5
    with caplog.at_level(logging.WARNING):
        write_scan(_ramp(8, 9, 10), affine, ScanHeader(), tmp_path / "a.nii")
    image = nib.load(tmp_path / "a.nii")
    np.testing.assert_allclose(image.get_sform(), affine)
    assert image.get_qform(coded=True)[1] == 0
    assert "a qform cannot hold this affine, which is sheared" in caplog.text
    assert "a.nii: " in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        np.testing.assert_allclose(read_scan(tmp_path / "a.nii").affine.numpy(), affine)
    assert not caplog.records


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
    write_scan(_ramp(3, 4, 5), AFFINE, ScanHeader(), tmp_path / "a.nii")
    before = (tmp_path / "a.nii").read_bytes()
    with pytest.raises(InputError, match=r"is there already; .*--overwrite true"):
        write_scan(_ramp(6, 7, 8), AFFINE, ScanHeader(), tmp_path / "a.nii")
    bad = _ramp(3, 4, 5)
    bad.view(-1)[:2] = torch.tensor([float("nan"), float("inf")])
    with pytest.raises(InputError, match="2 of 60 voxels of the result are NaN or infinite"):
        write_scan(bad, AFFINE, ScanHeader(), tmp_path / "a.nii", overwrite=True)
    assert (tmp_path / "a.nii").read_bytes() == before
    write_scan(_ramp(6, 7, 8), AFFINE, ScanHeader(), tmp_path / "a.nii", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.nii"]
    assert nib.load(tmp_path / "a.nii").shape == (6, 7, 8)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    cases = [
        ({"path": tmp_path / "file" / "a.nii"}, "cannot be written"),
        ({"path": Path("/proc/none/a.nii")}, "cannot be written"),
        ({"path": tmp_path / "a.dcm"}, "not a kind of file that can be written"),
        (
            {"path": tmp_path / "a.nii", "header": ScanHeader(stored_dtype="complex64")},
            "cannot write voxels as 'complex64'",
        ),
        ({"path": tmp_path / "a.nii", "affine": np.diag([1.0, 0.0, 1.0, 1.0])}, "singular"),
        ({"path": tmp_path / "a.png"}, "a picture has two axes and this has 3"),
        (
            {"path": tmp_path / "a.nii", "array": torch.zeros(1, 2**15, 1, 1)},
            r"a\.nii: a result of 32768 x 1 x 1 voxels",
        ),
        ({"path": tmp_path / "a.nii", "array": _ramp(3, 4, 5)[0]}, r"as many frames as its source, here 1; got \(3"),
        (
            {"path": tmp_path / "a.jpg", "array": _ramp(4, 5), "header": ScanHeader(stored_dtype="uint16")},
            "JPEG holds 8 bits",
        ),
    ]
    for changes, words in cases:
        with pytest.raises(InputError, match=words):
            write_scan(**{"array": _ramp(3, 4, 5), "affine": AFFINE, "header": ScanHeader(), **changes})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# --- names and folders


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
def test_name_of_a_result(tmp_path: Path, source: str, name: str) -> None:
    assert result_path(_found(tmp_path / source), ResultOptions("out")) == Path("out") / name


def _found(path: Path) -> ScanReference:
    path.parent.mkdir(exist_ok=True)
    path.write_text("x")
    return find_scan(path)


def test_folders_below_the_root_are_kept(tmp_path: Path) -> None:
    root, out = tmp_path / "in", tmp_path / "out"
    root.mkdir()
    options = ResultOptions(out, root=root)
    assert result_path(_found(root / "p1" / "t1.nii"), options) == out / "p1" / "t1_sr.nii"
    assert result_path(_found(root / "t1.nii"), options) == out / "t1_sr.nii"
    assert result_path(_found(tmp_path / "elsewhere" / "t1.nii"), options) == out / "t1_sr.nii"


def test_a_result_is_not_replaced_unasked(tmp_path: Path) -> None:
    scan = _found(tmp_path / "a.nii")
    (tmp_path / "a_sr.nii").write_text("x")
    with pytest.raises(InputError, match=r"a_sr\.nii: is there already; .*--overwrite true"):
        result_path(scan, ResultOptions(tmp_path))
    assert result_path(scan, ResultOptions(tmp_path, overwrite=True)) == tmp_path / "a_sr.nii"
    with pytest.raises(InputError, match="a picture has no place in space"):
        result_path(_found(tmp_path / "b.png"), ResultOptions(tmp_path, output_format="nifti"))


def test_two_sources_of_one_result_are_refused(tmp_path: Path) -> None:
    sources = [_found(tmp_path / "p1" / "t1.nii"), _found(tmp_path / "p2" / "t1.nii")]
    assert len(result_paths(sources, ResultOptions(tmp_path / "out", root=tmp_path))) == 2
    with pytest.raises(InputError, match=r"the result of both .*p1/t1\.nii and .*p2/t1\.nii"):
        result_paths(sources, ResultOptions(tmp_path / "out"))


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
