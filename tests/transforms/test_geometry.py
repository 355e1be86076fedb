from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor
from scipy.spatial.transform import Rotation

from custom.arrays.geometry import field_of_view_corners
from custom.degradations import AreaMean, GaussianDecimation, KSpaceCrop, SliceBySlice
from custom.errors import UsageError
from custom.scans import ResultOptions
from custom.transforms import LoadScand, SaveScand, SetGridAffined

orientations = st.tuples(st.permutations(range(3)), st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3))
angles = st.tuples(*[st.integers(-8, 8).map(lambda steps: 5.0 * steps)] * 3)
spacings = st.sampled_from([(0.7, 0.7, 3.0), (1.0, 1.0, 1.0), (3.0, 0.35, 0.5)])
origins = st.tuples(*[st.floats(-200.0, 200.0)] * 3)
shapes = st.tuples(*[st.integers(1, 9)] * 3)
scales = st.sampled_from([(2, 2, 2), (4, 4, 1), (1, 1, 4), (3, 1, 2)])


def _affine(orientation: tuple, angle: tuple, spacing: tuple, origin: tuple) -> np.ndarray:
    order, signs = orientation
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", angle, degrees=True).as_matrix()
    affine[:3, :3] = turn @ (np.eye(3)[:, order] * signs) * spacing
    affine[:3, 3] = origin
    return affine


def _round_trip(folder: Path, affine: np.ndarray, shape: tuple, scale: tuple, transform: SetGridAffined) -> Any:
    """Read a scan, let a network enlarge it, write it, and open what was written."""
    voxels = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    if voxels.size == 1:
        voxels = np.zeros((2, 1, 1), dtype=np.float32)
        voxels[1] = 1.0
    nib.save(nib.Nifti1Image(voxels, affine), folder / "scan.nii.gz")
    item = LoadScand("image")({"image": folder / "scan.nii.gz"})
    enlarged = item["image"].as_tensor()
    for axis, factor in enumerate(scale):
        enlarged = enlarged.repeat_interleave(factor, dim=axis + 1)
    # What a network gives: a MetaTensor that inherits the metadata of its input.
    item["pred"] = MetaTensor(enlarged, meta=item["image"].meta)
    item = SaveScand("pred", ResultOptions(folder / "out"))(transform(item))
    assert item["pred_path"] == str(folder / "out" / "scan_sr.nii.gz")
    return nib.load(item["pred_path"]), voxels


@given(orientations, angles, spacings, origins, shapes, scales)
def test_result_fills_the_field_of_view_of_its_input(
    tmp_path_factory: pytest.TempPathFactory,
    orientation: tuple,
    angle: tuple,
    spacing: tuple,
    origin: tuple,
    shape: tuple,
    scale: tuple,
) -> None:
    folder = tmp_path_factory.mktemp("place")
    affine = _affine(orientation, angle, spacing, origin)
    result, voxels = _round_trip(folder, affine, shape, scale, SetGridAffined(degradation=AreaMean(scale)))
    expected = field_of_view_corners(voxels.shape, affine)
    for form, code in (result.get_sform(coded=True), result.get_qform(coded=True)):
        assert code > 0
        corners = field_of_view_corners(result.shape, form)
        assert np.abs(corners - expected).max() < 1e-3
    np.testing.assert_allclose(result.header.get_zooms(), np.divide(spacing, scale), rtol=1e-5)
    assert nib.aff2axcodes(result.affine) == nib.aff2axcodes(affine)
    # A low-resolution voxel is the mean of the voxels that it was made into, wherever it lies.
    blocks = result.get_fdata().reshape([size for pair in zip(voxels.shape, scale, strict=True) for size in pair])
    np.testing.assert_allclose(blocks.mean(axis=(1, 3, 5)), voxels, rtol=1e-6)
    shutil.rmtree(folder)


@pytest.mark.parametrize("slice_axis", [0, 1, 2, -1])
def test_grid_of_slices_leaves_the_slice_axis_alone(tmp_path: Path, slice_axis: int) -> None:
    scale = [4, 4]
    scale.insert(slice_axis % 3, 1)
    affine = _affine(([2, 0, 1], (1.0, -1.0, 1.0)), (10.0, 20.0, 30.0), (0.7, 0.7, 3.0), (1.0, 2.0, 3.0))
    transform = SetGridAffined(degradation=SliceBySlice(AreaMean(4, spatial_dims=2), slice_axis))
    result, voxels = _round_trip(tmp_path, affine, (5, 6, 7), tuple(scale), transform)
    np.testing.assert_allclose(
        field_of_view_corners(result.shape, result.affine), field_of_view_corners(voxels.shape, affine), atol=1e-3
    )


def test_corner_grid_keeps_the_first_voxel_in_place() -> None:
    affine = _affine(([1, 0, 2], (1.0, 1.0, -1.0)), (0.0, 5.0, 0.0), (0.7, 0.7, 3.0), (1.0, 2.0, 3.0))
    image = MetaTensor(torch.rand(1, 4, 5, 6), affine=torch.from_numpy(affine))
    data = {"image": image, "pred": torch.zeros(1, 8, 10, 12)}
    pred = SetGridAffined(degradation=GaussianDecimation((2, 2, 2)))(data)["pred"]
    np.testing.assert_allclose(pred.affine.numpy()[:3, 3], (1.0, 2.0, 3.0))
    np.testing.assert_allclose(np.linalg.norm(pred.affine.numpy()[:3, :3], axis=0), (0.35, 0.35, 1.5))


def test_degrading_and_setting_the_affine_is_the_way_back() -> None:
    affine = _affine(([1, 0, 2], (1.0, 1.0, -1.0)), (15.0, 5.0, 0.0), (0.7, 0.7, 3.0), (1.0, 2.0, 3.0))
    degradation = KSpaceCrop((2, 2, 1))
    image = MetaTensor(torch.rand(1, 4, 5, 6), affine=torch.from_numpy(degradation.grid.affine_lr(affine)))
    pred = SetGridAffined(degradation=degradation)({"image": image, "pred": torch.zeros(1, 8, 10, 6)})["pred"]
    np.testing.assert_allclose(pred.affine.numpy(), affine, atol=1e-12)


def test_stale_metadata_is_dropped_and_the_source_kept() -> None:
    meta = {"filename_or_obj": "a.nii", "stored_dtype": "int16", "spatial_shape": (4, 5, 6), "original_affine": 1}
    operations = [{"class": "Zoom"}]
    image = MetaTensor(torch.rand(1, 4, 5, 6), affine=torch.eye(4), meta=meta, applied_operations=operations)
    pred = SetGridAffined(degradation=AreaMean(2, 3))({"image": image, "pred": torch.zeros(1, 8, 10, 12)})["pred"]
    assert set(pred.meta) - {"space"} == {"affine", "filename_or_obj", "stored_dtype"}
    assert pred.applied_operations == []
    assert pred.affine.dtype == torch.float64
    assert image.applied_operations  # the input is as it was


def test_plain_tensors_and_pictures_work_too() -> None:
    data = {"image": torch.rand(1, 4, 5), "pred": torch.zeros(1, 15, 18)}
    pred = SetGridAffined(degradation=SliceBySlice(AreaMean(4, spatial_dims=2), 0))(data)["pred"]
    assert isinstance(pred, MetaTensor)
    np.testing.assert_allclose(pred.affine.numpy()[:2], [[0.25, 0, 0, -0.375], [0, 0.25, 0, -0.375]])


@pytest.mark.parametrize("shape", [(8, 10, 13), (16, 10, 12), (6, 10, 12), (8, 10)])
def test_size_that_the_grid_does_not_make_is_refused(shape: tuple[int, ...]) -> None:
    data = {"image": torch.rand(1, 4, 5, 6), "pred": torch.zeros(1, *shape)}
    with pytest.raises(UsageError, match=r"pred: the size .* is not \(4, 5, 6\) times \(2, 2, 2\)"):
        SetGridAffined(degradation=AreaMean(2, 3))(data)
