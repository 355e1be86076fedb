"""NIfTI results: values, units and place."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from tiny_scans import SWAPPED, ramp

from custom.arrays.geometry import affine_distance
from custom.scans import ScanHeader, nifti, read_scan, write_scan


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_nifti_holds_values_place_and_unit(tmp_path: Path, name: str) -> None:
    write_scan(ramp(4, 5, 6) + 0.25, SWAPPED, ScanHeader(), tmp_path / name)
    image = nib.load(tmp_path / name)
    np.testing.assert_array_equal(image.get_fdata(), ramp(4, 5, 6)[0].numpy() + 0.25)
    assert image.get_data_dtype() == np.float32
    assert image.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(image.header.get_zooms(), (0.7, 0.7, 3.0), rtol=1e-6)
    for form, code in (image.get_sform(coded=True), image.get_qform(coded=True)):
        assert code == 1
        np.testing.assert_allclose(form, SWAPPED, atol=1e-5)


@pytest.mark.parametrize(("given", "written"), [((4, "micron"), (4, "micron")), ((0, "unknown"), (1, "mm"))])
def test_code_and_unit_of_the_source_are_kept_where_they_are_known(
    tmp_path: Path, given: tuple[int, str], written: tuple[int, str]
) -> None:
    header = ScanHeader(xform_code=given[0], space_unit=given[1])
    write_scan(ramp(4, 5, 6), SWAPPED, header, tmp_path / "a.nii")
    stored = nib.load(tmp_path / "a.nii").header
    assert (int(stored["sform_code"]), int(stored["qform_code"])) == (written[0], written[0])
    assert stored.get_xyzt_units()[0] == written[1]


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


def test_shear_stays_in_the_sform_and_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    affine = np.eye(4)
    affine[0, 1] = 0.5
    with caplog.at_level(logging.WARNING):
        write_scan(ramp(8, 9, 10), affine, ScanHeader(), tmp_path / "a.nii")
    image = nib.load(tmp_path / "a.nii")
    np.testing.assert_allclose(image.get_sform(), affine)
    assert image.get_qform(coded=True)[1] == 0
    assert "a qform cannot hold this affine, which is sheared" in caplog.text
    assert "a.nii: " in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        np.testing.assert_allclose(read_scan(tmp_path / "a.nii").affine.numpy(), affine)
    assert not caplog.records


@pytest.mark.parametrize(("dtype", "slope"), [("float32", 1.0), ("int16", 0.5)])
@pytest.mark.parametrize("shape", [(1, 4, 5, 6), (3, 4, 5, 6), (1, 7, 5)])
@pytest.mark.parametrize("at_once", [1, 2**25])
def test_the_file_is_that_which_nibabel_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, slope: float, shape: tuple[int, ...], at_once: int
) -> None:
    """Plane by plane, or all at once; also for an array whose slices are its first axis in memory, as results are."""
    monkeypatch.setattr(nifti, "_BYTES_AT_ONCE", at_once)
    values = torch.randint(0, 99, shape).float().movedim(-1, 0).contiguous().movedim(0, -1)
    header = ScanHeader(stored_dtype=dtype, slope=slope, frame_values=tuple(range(shape[0])), frame_axis="time")
    path = write_scan(values, SWAPPED, header, tmp_path / "a.nii")
    image = nib.load(path)
    array = values.numpy()[0] if shape[0] == 1 else np.moveaxis(values.numpy(), 0, -1)
    expected = nib.Nifti1Image((array / slope).astype(dtype), None, image.header)
    expected.header.set_slope_inter(slope, 0.0)
    assert path.read_bytes() == expected.to_bytes()
