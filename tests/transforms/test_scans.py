from __future__ import annotations

import copy
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from manifest_files import save_hdf5
from monai.data import CacheDataset, MetaTensor
from monai.transforms import Compose
from torch.utils.data import DataLoader

from custom.degradations import AreaMean, SliceBySlice
from custom.errors import InputError
from custom.manifests.manifest import load_manifest, sample_folder
from custom.scans import ResultOptions, ScanHeader, find_scan
from custom.scans.readers import read_scan
from custom.transforms import CropSlabd, LoadScand, SaveScand, SetGridAffined
from custom.transforms.meta import header_of

AFFINE = np.array([[0.0, 0.0, -3.0, 90.0], [-0.7, 0.0, 0.0, 80.0], [0.0, 0.7, 0.0, -70.0], [0.0, 0.0, 0.0, 1.0]])


def _volume(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape)


def _save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


# --- loading


def test_every_key_is_loaded_and_the_rest_left_alone(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.nii", _volume(4, 5, 6))
    item = {"label": str(path), "image": path, "subject": "a"}
    result = LoadScand(["label", "image"])(item)
    for key in ("label", "image"):
        assert isinstance(result[key], MetaTensor)
        assert result[key].shape == (1, 4, 5, 6)
        np.testing.assert_allclose(result[key].affine.numpy(), AFFINE, atol=1e-5)
    assert result["subject"] == "a"
    assert item["label"] == str(path)


def test_item_names_the_dataset_of_its_scan(tmp_path: Path) -> None:
    """And not that of its mask, which may be a file with a dataset of another name."""
    sharp, mask = _volume(4, 5, 6).astype(float), np.ones((4, 5, 6))
    save_hdf5(tmp_path / "a.h5", sharp=sharp, blurred=sharp / 2)
    save_hdf5(tmp_path / "m.h5", mask=mask)
    item = {"label": tmp_path / "a.h5", "mask": tmp_path / "m.h5", "dataset": "sharp"}
    result = LoadScand(["label", "mask"])(item)
    np.testing.assert_array_equal(result["label"][0], sharp)
    np.testing.assert_array_equal(result["mask"][0], mask)
    listed = LoadScand("label")({"label": find_scan(tmp_path / "a.h5", dataset="blurred"), "dataset": "sharp"})
    np.testing.assert_array_equal(listed["label"][0], sharp / 2)


def test_the_header_goes_wherever_the_voxels_go(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.nii", _volume(4, 5, 6))
    cached = CacheDataset([{"image": path}], LoadScand("image"), progress=False)
    (item,) = DataLoader(cached, batch_size=None)
    assert item["image"].shape == (1, 4, 5, 6)
    for image in (item["image"], copy.deepcopy(item["image"]), 2 * item["image"][None][0]):
        assert image.meta["header"].source.path == path
        assert header_of(image).stored_dtype == "int16"
        np.testing.assert_allclose(image.affine.numpy(), AFFINE, atol=1e-5)
    assert header_of(item["image"].as_tensor()) == ScanHeader()


def test_missing_mask_is_passed_over_where_that_is_allowed(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.nii", _volume(4, 5, 6))
    assert "mask" not in LoadScand(["label", "mask"], allow_missing_keys=True)({"label": path})
    with pytest.raises(KeyError, match="mask"):
        LoadScand(["label", "mask"])({"label": path})


def test_mask_may_be_constant_but_a_scan_may_not(tmp_path: Path) -> None:
    scan, ones = _save(tmp_path / "a.nii", _volume(4, 5, 6)), _save(tmp_path / "m.nii", np.ones((4, 5, 6), np.uint8))
    result = LoadScand(["label", "mask"])({"label": scan, "mask": ones})
    assert float(result["mask"].min()) == 1.0
    with pytest.raises(InputError, match=r"m\.nii: every voxel has the value 1"):
        LoadScand("label")({"label": ones})


def test_mask_of_another_grid_is_refused(tmp_path: Path) -> None:
    scan = _save(tmp_path / "a.nii", _volume(4, 5, 6))
    larger = _save(tmp_path / "larger.nii", _volume(4, 5, 7))
    shifted = AFFINE.copy()
    shifted[0, 3] += 0.5
    moved = _save(tmp_path / "moved.nii", _volume(4, 5, 6), shifted)
    with pytest.raises(
        InputError, match=r"larger\.nii: the mask has the size \(4, 5, 7\) and its scan .*a\.nii \(4, 5"
    ):
        LoadScand(["label", "mask"])({"label": scan, "mask": larger})
    with pytest.raises(InputError, match=r"moved\.nii: the mask lies up to 0\.5 mm off its scan .*a\.nii"):
        LoadScand(["label", "mask"])({"label": scan, "mask": moved})


# --- slabs


def test_slab_keeps_every_voxel_in_its_place(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.nii", _volume(4, 10, 6))
    slab = {"axis": 1, "start": 0.3, "stop": 0.7}
    result = Compose([LoadScand(["label", "mask"]), CropSlabd(["label", "mask"])])(
        {"label": path, "mask": path, "slab": slab}
    )
    for key in ("label", "mask"):
        np.testing.assert_array_equal(result[key][0].numpy(), _volume(4, 10, 6)[:, 3:7])
        # voxel (1, 2, 3) of the slab is voxel (1, 5, 3) of the whole
        np.testing.assert_allclose(result[key].affine.numpy() @ (1, 2, 3, 1), AFFINE @ (1, 5, 3, 1), atol=1e-5)
        assert result[key].meta["filename_or_obj"] == str(path)


def test_slab_holds_no_more_memory_than_itself(tmp_path: Path) -> None:
    whole = LoadScand("label")({"label": _save(tmp_path / "a.nii", _volume(4, 5, 100))})
    part = CropSlabd("label")(whole | {"slab": {"axis": 2, "start": 0.5, "stop": 0.6}})["label"]
    assert part.untyped_storage().nbytes() == part.numel() * part.element_size()


def test_without_a_slab_nothing_is_cut() -> None:
    label = torch.rand(1, 4, 5, 6)
    assert CropSlabd("label")({"label": label})["label"] is label


def test_slab_of_a_plain_tensor() -> None:
    label = torch.rand(1, 4, 5, 6)
    cut = CropSlabd("label")({"label": label, "slab": {"axis": 0, "start": 0.5, "stop": 1.0}})["label"]
    assert not isinstance(cut, MetaTensor)
    torch.testing.assert_close(cut, label[:, 2:])


def test_sample_gives_slabs_of_brain() -> None:
    manifest = load_manifest("sample_brain_t1", sample_folder())
    (item,) = manifest.items("test")
    label = Compose([LoadScand("label"), CropSlabd("label")])(item)["label"]
    assert label.shape == (1, 181, 217, 18)
    assert float(label.affine[2, 3]) == -71.0 + 82


# --- frames


CINE = np.arange(8 * 6 * 5 * 3, dtype=np.float32).reshape(8, 6, 5, 3)


def test_a_slab_and_a_grid_move_all_frames_together(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.nii", CINE)
    loaded = LoadScand("label")({"label": path, "slab": {"axis": 2, "start": 0.4, "stop": 1.0}})
    part = CropSlabd("label")(loaded)["label"]
    assert torch.equal(part.as_tensor(), loaded["label"].as_tensor()[..., 2:])
    np.testing.assert_allclose(part.affine[:3, 3], AFFINE[:3, 3] + 2 * AFFINE[:3, 2], atol=1e-5)
    place = SetGridAffined("pred", "image", degradation=SliceBySlice(AreaMean(2, spatial_dims=2)))
    placed = place({"image": part, "pred": torch.rand(3, 16, 12, 3)})["pred"]
    assert header_of(placed).frames == 3
    np.testing.assert_allclose(placed.affine[:3, :2], AFFINE[:3, :2] / 2, atol=1e-6)


def test_a_mask_has_one_frame_or_all(tmp_path: Path) -> None:
    scan = _save(tmp_path / "a.nii", CINE)
    load = LoadScand(["label", "mask"])
    for frames in (1, 3):
        mask = _save(tmp_path / "m.nii", np.ones((8, 6, 5, frames), np.float32))
        assert len(load({"label": scan, "mask": mask})["mask"]) == frames
    mask = _save(tmp_path / "m.nii", np.ones((8, 6, 5, 2), np.float32))
    with pytest.raises(InputError, match=r"m\.nii: the mask has 2 frames and its scan .* 3"):
        load({"label": scan, "mask": mask})


# --- saving


def test_the_path_of_each_result_is_kept(tmp_path: Path) -> None:
    item = LoadScand("image")({"image": _save(tmp_path / "a.nii", _volume(4, 5, 6))})
    saved = SaveScand(["image", "pred"], ResultOptions(tmp_path / "out"), allow_missing_keys=True)(item)
    assert saved["image_path"] == str(tmp_path / "out" / "a_sr.nii")
    assert torch.equal(read_scan(saved["image_path"]).as_tensor(), item["image"].as_tensor())


# --- a real scan from end to end


def test_real_brain_comes_back_in_place_and_in_units(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "brain_t1" / "sub-20_T1w.nii.gz"
    item = LoadScand("image")({"image": path})
    written = SaveScand("image", ResultOptions(tmp_path, dtype="source"))(item)["image_path"]
    before, after = nib.load(path), nib.load(written)
    np.testing.assert_array_equal(np.asarray(after.dataobj.get_unscaled()), np.asarray(before.dataobj.get_unscaled()))
    np.testing.assert_allclose(after.affine, before.affine, atol=1e-6)
    np.testing.assert_allclose(after.get_qform(), before.get_qform(), atol=1e-3)
    assert after.dataobj.slope == pytest.approx(before.dataobj.slope)
