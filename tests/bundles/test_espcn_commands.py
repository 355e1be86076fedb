"""What brain_mri_espcn alone has: overlays, slices along each axis, tiles, flips, masks, pictures, the report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from bundle_cases import CASES, BundleCase, Command, refusal, table
from PIL import Image
from tiny_scans import AFFINE, tiny_volume


@pytest.fixture
def case() -> BundleCase:
    return next(case for case in CASES if case.name == "brain_mri_espcn")


def test_a_result_agrees_with_its_input(command: Command, scan: Path, tmp_path: Path) -> None:
    command("inference", "inference", input=str(scan), output_dir=str(tmp_path / "out"))
    before, after = (nib.load(path).get_fdata() for path in (scan, tmp_path / "out" / "scan_sr.nii.gz"))
    blocks = after.reshape(34, 4, 41, 4, 5).mean((1, 3))
    assert np.abs(blocks - before).mean() < 0.02 * before.max()


def test_figures_of_the_classical_methods_do_not_depend_on_the_network(
    command: Command, dataset: dict[str, str], evaluated: Path, tmp_path: Path
) -> None:
    command("evaluating", "train", "evaluate", "context", output_dir=str(tmp_path / "context"), **dataset)
    tables = []
    for folder in (evaluated, tmp_path / "context"):
        rows = table(folder / "metrics.csv")
        tables.append({(r["subject"], r["method"]): r["psnr"] for r in rows if r["method"] != "model"})
    assert tables[0] == tables[1]


@pytest.mark.parametrize("slice_axis", [0, 1])
def test_slice_axis_says_what_is_enlarged(command: Command, scan: Path, tmp_path: Path, slice_axis: int) -> None:
    command("inference", "inference", input=str(scan), output_dir=str(tmp_path / "o"), slice_axis=slice_axis)
    expected = [4 * n for n in (34, 41, 5)]
    expected[slice_axis] //= 4
    assert list(nib.load(tmp_path / "o" / "scan_sr.nii.gz").shape) == expected


def test_tiles_give_the_result_of_the_whole(command: Command, scan: Path, tmp_path: Path) -> None:
    results = []
    for name, tile_size in (("whole", None), ("tiles", 9)):
        out = str(tmp_path / name)
        command("inference", "inference", input=str(scan), output_dir=out, tile_size=tile_size)
        results.append(nib.load(tmp_path / name / "scan_sr.nii.gz").get_fdata())
    np.testing.assert_allclose(*results, atol=1e-2)


def test_other_variants_of_inference(command: Command, scan: Path, tmp_path: Path) -> None:
    shapes = []
    for name, overlays, options in (
        ("context", ["context"], {}),
        ("flips", [], {"flip_ensemble": True}),
        ("source", [], {"output_dtype": "source"}),
    ):
        out = str(tmp_path / name)
        command("inference", "inference", *overlays, input=str(scan), output_dir=out, **options)
        shapes.append(nib.load(tmp_path / name / "scan_sr.nii.gz").shape)
    assert shapes == [(136, 164, 5)] * 3


def test_pictures_and_folders_keep_their_kind_and_place(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "in" / "deeper"
    folder.mkdir(parents=True)
    pixels = (tiny_volume(3)[:, :, 2] / 8).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "slice.png")
    nib.save(nib.Nifti1Image(tiny_volume(2), AFFINE), tmp_path / "in" / "scan.nii")
    command("inference", "inference", input=str(tmp_path / "in"), output_dir=str(tmp_path / "out"))
    enlarged = np.asarray(Image.open(tmp_path / "out" / "deeper" / "slice_sr.png"), dtype=float)
    assert enlarged.shape == (136, 164)
    assert np.abs(enlarged.reshape(34, 4, 41, 4).mean((1, 3)) - pixels).mean() < 5
    assert (tmp_path / "out" / "scan_sr.nii").is_file()


def test_report_adds_figures_and_a_picture_for_each_scan(command: Command, scan: Path, tmp_path: Path) -> None:
    (scan.parent / "torn.nii.gz").write_bytes(scan.read_bytes()[:2000])
    options = {"input": str(scan.parent), "output_dir": str(tmp_path / "out"), "report": "true"}
    assert "torn.nii.gz" in refusal(1, command, "inference", "inference", **options)
    (line,) = json.loads((tmp_path / "out" / "inference.json").read_text())
    assert line["scan"] == str(scan)
    assert line["result"] == str(tmp_path / "out" / "scan_sr.nii.gz")
    assert line["seconds"] > 0
    assert line["peak_memory_mib"] > 50
    assert (line["precision"], line["device"][:3], line["threads"]) == ("float32", "cpu", torch.get_num_threads())
    image, result = nib.load(scan).get_fdata(), nib.load(line["result"]).get_fdata()
    again = result.reshape(34, 4, 41, 4, 5).mean((1, 3))
    scale = np.percentile(image[image > 0.1 * np.percentile(image[image > 0], 99.9)], 99.9)
    assert line["consistency"] == pytest.approx(np.sqrt(np.mean((again - image) ** 2)) / scale, rel=1e-3)
    pictures = [path.name for path in (tmp_path / "out" / "pictures").iterdir()]
    assert len(pictures) == 1
    with Image.open(tmp_path / "out" / "pictures" / pictures[0]) as picture:
        assert picture.size[0] > 500


def test_masks_of_a_manifest_are_the_foreground(
    command: Command, dataset: dict[str, str], case: BundleCase, evaluated: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(dataset["dataset_dir"], folder)
    for path in sorted(folder.glob("sub-?.nii.gz")):
        mask = np.zeros((34, 41, 5), np.uint8)
        mask[10:20, 10:30] = 1
        nib.save(nib.Nifti1Image(mask, AFFINE), folder / f"mask_{path.name}")
    manifest = json.loads((folder / "tiny.json").read_text())
    (folder / "tiny.json").write_text(json.dumps({**manifest, "mask_pattern": "mask_{subject}.nii.gz"}))
    data = {"dataset_dir": str(folder), "data_manifest": str(folder / "tiny.json")}
    command("training", "train", output_dir=str(tmp_path / "masked"), **data, **case.short)
    command("evaluating", "train", "evaluate", output_dir=str(tmp_path / "masked"), **data)
    masked, found = (table(folder / "metrics.csv") for folder in (tmp_path / "masked", evaluated))
    cubic = [next(row for row in rows if row["method"] == "cubic") for rows in (masked, found)]
    assert cubic[0]["psnr"] == cubic[1]["psnr"]
    assert cubic[0]["psnr_foreground"] != cubic[1]["psnr_foreground"]
