"""Scans with an axis of frames (cine phases, echoes): read, written, and read again."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from custom.errors import InputError
from custom.scans import ResultOptions, ScanHeader
from custom.scans.readers import read_scan
from custom.scans.writers import write_scan
from custom.transforms import CropSlabd, LoadScand, SaveScand, SetGridAffined

AFFINE = np.array([[0.0, -1.4, 0.0, -11.0], [1.4, 0.0, 0.0, 22.0], [0.0, 0.0, 8.0, 33.0], [0.0, 0.0, 0.0, 1.0]])


def _cine(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(np.float32)


def _save(
    path: Path, array: np.ndarray, step: float = 33.3, unit: str = "msec", start: float = 0.0, **options: Any
) -> Path:
    image = nib.Nifti1Image(array, AFFINE, dtype=options.get("dtype", array.dtype))
    image.header.set_xyzt_units("mm", unit)
    image.header["pixdim"][4] = step
    image.header["toffset"] = start
    nib.save(image, path)
    return path


def test_frames_come_first_and_contiguous(tmp_path: Path) -> None:
    array = _cine(3, 4, 5, 6)
    scan = read_scan(_save(tmp_path / "a.nii.gz", array))
    assert scan.shape == (6, 3, 4, 5)
    assert scan.dtype == torch.float32
    assert scan.is_contiguous()
    for number in range(6):
        np.testing.assert_array_equal(scan[number].numpy(), array[..., number])
    np.testing.assert_allclose(scan.affine.numpy(), AFFINE, atol=1e-6)
    assert scan.meta["header"].frames == 6


@pytest.mark.parametrize(
    ("unit", "step", "start", "axis", "values"),
    [
        ("msec", 40.0, 15.0, "time", [15.0, 55.0, 95.0]),
        ("sec", 0.0333, 0.0, "time", [0.0, 33.3, 66.6]),
        ("usec", 2500.0, 500.0, "time", [0.5, 3.0, 5.5]),
        ("unknown", 1.0, 0.0, "frame", [0.0, 1.0, 2.0]),
        ("hz", 12.5, 50.0, "frame", [50.0, 62.5, 75.0]),
        ("sec", 0.0, 3.0, "frame", [0.0, 1.0, 2.0]),
        ("sec", np.nan, np.nan, "frame", [0.0, 1.0, 2.0]),
    ],
)
def test_times_are_in_milliseconds_where_there_is_a_unit_of_time(
    tmp_path: Path, unit: str, step: float, start: float, axis: str, values: list[float]
) -> None:
    header = read_scan(_save(tmp_path / "a.nii", _cine(3, 4, 2, 3), step, unit, start)).meta["header"]
    assert header.frame_axis == axis
    assert header.frame_values == pytest.approx(values, rel=1e-9)


def test_an_ordinary_scan_has_one_frame(tmp_path: Path) -> None:
    for shape in ((5, 6, 7), (5, 6, 7, 1), (5, 6)):
        scan = read_scan(_save(tmp_path / "a.nii", _cine(*shape)))
        assert len(scan) == 1
        header = scan.meta["header"]
        assert (header.frames, header.frame_axis, header.frame_values) == (1, "", (0.0,))


def test_a_single_slice_keeps_its_axis(tmp_path: Path) -> None:
    assert read_scan(_save(tmp_path / "a.nii", _cine(3, 4, 1, 5))).shape == (5, 3, 4, 1)
    assert read_scan(_save(tmp_path / "b.nii", _cine(3, 4, 1, 5, 1))).shape == (5, 3, 4, 1)


@settings(max_examples=10)
@given(
    shape=st.tuples(*[st.integers(1, 4)] * 3, st.integers(2, 5)),
    unit=st.sampled_from(["sec", "msec", "usec", "unknown"]),
    step=st.sampled_from([0.0333, 1.0, 41.7]),
)
def test_what_is_written_is_what_was_read(
    tmp_path_factory: pytest.TempPathFactory, shape: tuple[int, ...], unit: str, step: float
) -> None:
    folder = tmp_path_factory.mktemp("frames")
    source = _save(folder / "a.nii", _cine(*shape), step, unit, start=2 * step)
    loaded = LoadScand("pred")({"pred": source})
    saved = SaveScand("pred", ResultOptions(folder / "out"))(loaded)
    before, after = nib.load(source), nib.load(saved["pred_path"])
    np.testing.assert_array_equal(after.get_fdata(), before.get_fdata())
    assert after.header.get_xyzt_units() == before.header.get_xyzt_units()
    assert float(after.header["pixdim"][4]) == pytest.approx(float(before.header["pixdim"][4]), rel=1e-7)
    assert float(after.header["toffset"]) == pytest.approx(float(before.header["toffset"]), rel=1e-7)
    again = read_scan(saved["pred_path"])
    values = [scan.meta["header"].frame_values for scan in (again, loaded["pred"])]
    assert values[0] == pytest.approx(values[1], rel=1e-7)


def test_integers_and_slope_of_the_source_are_kept(tmp_path: Path) -> None:
    values = torch.arange(48.0).reshape(2, 3, 4, 2) * 0.25 - 3.0
    header = ScanHeader(stored_dtype="int16", slope=0.25, intercept=-3.0, frame_axis="time", frame_values=(0, 30))
    write_scan(values, AFFINE, header, tmp_path / "a.nii")
    stored = nib.load(tmp_path / "a.nii")
    assert stored.get_data_dtype() == np.int16
    assert stored.shape == (3, 4, 2, 2)
    assert stored.header.get_xyzt_units()[1] == "sec"
    assert float(stored.header["pixdim"][4]) == pytest.approx(0.03)
    torch.testing.assert_close(read_scan(tmp_path / "a.nii").as_tensor(), values)


def test_frames_of_pictures_become_those_of_one_slice(tmp_path: Path) -> None:
    values = torch.arange(24.0).reshape(2, 3, 4)
    write_scan(values, AFFINE, ScanHeader(frame_values=(0, 1)), tmp_path / "a.nii")
    assert nib.load(tmp_path / "a.nii").shape == (3, 4, 1, 2)
    torch.testing.assert_close(read_scan(tmp_path / "a.nii").as_tensor(), values[..., None])


def test_echoes_are_written_without_a_unit_of_time(tmp_path: Path) -> None:
    header = ScanHeader(frame_axis="echo", frame_values=(4.6, 9.2))
    write_scan(torch.rand(2, 3, 4, 5), AFFINE, header, tmp_path / "a.nii")
    header = nib.load(tmp_path / "a.nii").header
    assert header.get_xyzt_units()[1] == "unknown"
    assert float(header["pixdim"][4]) == pytest.approx(4.6)


def test_uneven_times_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scan = torch.rand(3, 3, 4, 5)
    with caplog.at_level(logging.WARNING):
        write_scan(scan, AFFINE, ScanHeader(frame_axis="time", frame_values=(0, 33, 67)), tmp_path / "even.nii")
        assert not caplog.records
        write_scan(scan, AFFINE, ScanHeader(frame_axis="time", frame_values=(0, 20, 80)), tmp_path / "odd.nii")
    assert "odd.nii: the frames are not evenly spaced (0, 20, 80)" in caplog.text
    assert float(nib.load(tmp_path / "odd.nii").header["pixdim"][4]) == pytest.approx(0.04)


def test_frames_without_their_values_and_frames_of_a_picture_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"as many frames as its source, here 1; got \(3"):
        write_scan(torch.rand(3, 4, 5), AFFINE, ScanHeader(), tmp_path / "a.nii")
    with pytest.raises(InputError, match=r"a\.png: a picture has two axes"):
        write_scan(torch.rand(2, 4, 5), AFFINE, ScanHeader(frame_values=(0, 1)), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_a_slab_and_a_grid_move_all_frames_together(tmp_path: Path) -> None:
    from custom.degradations import AreaMean, SliceBySlice

    path = _save(tmp_path / "a.nii", _cine(8, 6, 5, 3))
    loaded = LoadScand("label")({"label": path, "slab": {"axis": 2, "start": 0.4, "stop": 1.0}})
    part = CropSlabd("label")(loaded)["label"]
    assert torch.equal(part.as_tensor(), loaded["label"].as_tensor()[..., 2:])
    np.testing.assert_allclose(part.affine[:3, 3], AFFINE[:3, 3] + 2 * AFFINE[:3, 2], atol=1e-5)
    place = SetGridAffined("pred", "image", degradation=SliceBySlice(AreaMean(2, spatial_dims=2)))
    placed = place({"image": part, "pred": torch.rand(3, 16, 12, 3)})["pred"]
    assert placed.meta["header"].frames == 3
    np.testing.assert_allclose(placed.affine[:3, :2], AFFINE[:3, :2] / 2, atol=1e-6)


def test_a_mask_has_one_frame_or_all(tmp_path: Path) -> None:
    scan = _save(tmp_path / "a.nii", _cine(3, 4, 5, 6))
    load = LoadScand(["label", "mask"])
    for shape in ((3, 4, 5), (3, 4, 5, 6)):
        mask = _save(tmp_path / "m.nii", np.ones(shape, np.float32))
        assert len(load({"label": scan, "mask": mask})["mask"]) == (*shape, 1)[3]
    mask = _save(tmp_path / "m.nii", np.ones((3, 4, 5, 2), np.float32))
    with pytest.raises(InputError, match=r"m\.nii: the mask has 2 frames and its scan .* 6"):
        load({"label": scan, "mask": mask})
