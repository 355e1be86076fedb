"""The commands of brain_mri_espcn on tiny scans: training, resuming, evaluating, inference, and what they refuse."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow
from PIL import Image
from tiny_scans import AFFINE, tiny_volume

from custom.data import field_of_view_corners, read_checkpoint
from custom.engines import PatchPairs
from custom.errors import input_error_in

BUNDLE = "brain_mri_espcn"
SHORT = {"max_epochs": 2, "patches_per_epoch": 8, "batch_size": 4, "patch_size": [24, 24]}

Run = Callable[..., ConfigWorkflow]


def _weights(path: Path) -> dict[str, Any]:
    content = read_checkpoint(path)
    return content.get("network", content)


def _equal(one: Path, two: Path) -> bool:
    first, second = _weights(one), _weights(two)
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def _table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def _refusal(run: Run, *arguments: Any, **override: Any) -> str:
    """Run a command that must fail with one clear error; return its words."""
    with pytest.raises(Exception) as caught:  # noqa: PT011
        run(BUNDLE, *arguments, **override)
    error = input_error_in(caught.value)
    assert error is not None, f"not an error in words: {caught.value!r}"
    return str(error)


@pytest.fixture
def trained(run_bundle: Run, tiny_dataset: dict[str, str], tmp_path: Path) -> Path:
    run_bundle(BUNDLE, "training", "train", output_dir=str(tmp_path / "out"), **tiny_dataset, **SHORT)
    return tmp_path / "out"


def test_training_leaves_weights_curves_and_the_config(trained: Path) -> None:
    assert {"model.pt", "last.pt", "curves.csv", "curves.png", "training_config.json"} <= {
        p.name for p in trained.iterdir()
    }
    rows = _table(trained / "curves.csv")
    assert [row["epoch"] for row in rows] in (["1", "2"], ["1.0", "2.0"])
    assert all(float(row["validation_psnr"]) > 10 for row in rows)


@pytest.mark.parametrize("overlay", ["context", "as_published"])
def test_overlays_train(run_bundle: Run, tiny_dataset: dict[str, str], tmp_path: Path, overlay: str) -> None:
    run_bundle(BUNDLE, "training", "train", overlay, output_dir=str(tmp_path), **tiny_dataset, **SHORT)
    first = _weights(tmp_path / "model.pt")["body.0.weight"]
    assert first.shape[1] == (5 if overlay == "context" else 1)


def test_two_runs_of_one_seed_are_the_same(
    run_bundle: Run, tiny_dataset: dict[str, str], tmp_path: Path, trained: Path
) -> None:
    run_bundle(BUNDLE, "training", "train", output_dir=str(tmp_path / "again"), **tiny_dataset, **SHORT)
    assert _equal(trained / "last.pt", tmp_path / "again" / "last.pt")
    run_bundle(BUNDLE, "training", "train", output_dir=str(tmp_path / "other"), seed=1, **tiny_dataset, **SHORT)
    assert not _equal(trained / "last.pt", tmp_path / "other" / "last.pt")


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(
    run_bundle: Run, tiny_dataset: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**tiny_dataset, **SHORT, "max_epochs": 4}
    run_bundle(BUNDLE, "training", "train", output_dir=str(tmp_path / "whole"), **options)
    make_pair = PatchPairs.__call__
    calls = []

    def make_pair_or_stop(self: PatchPairs, *arguments: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == 6:  # the second iteration of the third epoch
            raise KeyboardInterrupt
        return make_pair(self, *arguments, **more)

    monkeypatch.setattr(PatchPairs, "__call__", make_pair_or_stop)
    with pytest.raises(KeyboardInterrupt):
        run_bundle(BUNDLE, "training", "train", output_dir=str(tmp_path / "parts"), **options)
    monkeypatch.setattr(PatchPairs, "__call__", make_pair)
    assert read_checkpoint(tmp_path / "parts" / "last.pt")["epoch"] == 2
    run_bundle(BUNDLE, "training", "train", output_dir=str(tmp_path / "parts"), resume=True, **options)
    whole, parts = (read_checkpoint(tmp_path / name / "last.pt") for name in ("whole", "parts"))
    assert _equal(tmp_path / "whole" / "last.pt", tmp_path / "parts" / "last.pt")
    assert _equal(tmp_path / "whole" / "model.pt", tmp_path / "parts" / "model.pt")
    keys = ("epoch", "best_metric", "best_metric_epoch", "validations_without_gain", "schedule_position")
    assert all(whole[key] == parts[key] for key in keys)
    rows = _table(tmp_path / "parts" / "curves.csv")
    assert len(rows) == 4


def test_training_stops_early_when_it_no_longer_improves(
    run_bundle: Run, tiny_dataset: dict[str, str], tmp_path: Path
) -> None:
    options = {**tiny_dataset, **SHORT, "max_epochs": 9, "learning_rate": 0.0, "patience": 2}
    workflow = run_bundle(BUNDLE, "training", "train", output_dir=str(tmp_path), **options)
    assert workflow.trainer.state.epoch == 3


def test_resuming_needs_a_run_and_epochs_to_do(run_bundle: Run, tiny_dataset: dict[str, str], trained: Path) -> None:
    options = {**tiny_dataset, **SHORT, "resume": True}
    assert "no run to resume" in _refusal(run_bundle, "training", "train", output_dir=str(trained / "none"), **options)
    assert "larger max_epochs" in _refusal(run_bundle, "training", "train", output_dir=str(trained), **options)
    longer = {**options, "max_epochs": 3, "patches_per_epoch": 16}
    assert "same patches_per_epoch" in _refusal(run_bundle, "training", "train", output_dir=str(trained), **longer)


def test_evaluating_writes_the_table_of_the_trained_weights(
    run_bundle: Run, tiny_dataset: dict[str, str], trained: Path
) -> None:
    run_bundle(BUNDLE, "evaluating", "train", "evaluate", output_dir=str(trained), **tiny_dataset)
    rows = _table(trained / "metrics.csv")
    assert list(rows[0])[:9] == ["subject", "method", "psnr", "ssim", "mae", "hfen", "lpips", "consistency", "seconds"]
    assert [r["method"] for r in rows[:5]] == ["nearest", "linear", "cubic", "zero_filled", "model"]
    assert {r["subject"] for r in rows} == {"sub-3", "sub-4"}
    summary = json.loads((trained / "summary.json").read_text())
    model = [float(r["psnr"]) for r in rows if r["method"] == "model"]
    cubic = [float(r["psnr"]) for r in rows if r["method"] == "cubic"]
    assert summary["methods"]["model"]["psnr"]["mean"] == pytest.approx(np.mean(model), abs=1e-3)
    gain = summary["difference_from_cubic"]["model"]["psnr"]["mean"]
    assert gain == pytest.approx(np.mean(np.subtract(model, cubic)), abs=1e-3)
    assert (summary["subjects"], summary["manifest"]["name"]) == (["sub-3", "sub-4"], "tiny")
    assert len(summary["weights_sha256"]) == 64
    assert sorted(p.name for p in (trained / "pictures").iterdir()) == ["sub-3.png", "sub-4.png"]
    assert "holds results already" in _refusal(
        run_bundle, "evaluating", "train", "evaluate", output_dir=str(trained), **tiny_dataset
    )


def test_figures_of_the_classical_methods_do_not_depend_on_the_network(
    run_bundle: Run, tiny_dataset: dict[str, str], tmp_path: Path
) -> None:
    tables = []
    for name in ("model", "model_context"):
        overlays = [] if name == "model" else ["context"]
        run_bundle(
            BUNDLE, "evaluating", "train", "evaluate", *overlays, output_dir=str(tmp_path / name), **tiny_dataset
        )
        rows = _table(tmp_path / name / "metrics.csv")
        tables.append({(r["subject"], r["method"]): r["psnr"] for r in rows if r["method"] != "model"})
    assert tables[0] == tables[1]


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "scan.nii.gz"
    path.parent.mkdir()
    nib.save(nib.Nifti1Image(tiny_volume(9), AFFINE), path)
    return path


def test_inference_lies_in_place_in_the_units_of_the_input(run_bundle: Run, scan: Path, tmp_path: Path) -> None:
    run_bundle(BUNDLE, "inference", "inference", input=str(scan), output_dir=str(tmp_path / "out"))
    before, after = nib.load(scan), nib.load(tmp_path / "out" / "scan_sr.nii.gz")
    assert after.shape == (136, 164, 5)
    corners = [field_of_view_corners(image.shape, image.affine) for image in (before, after)]
    np.testing.assert_allclose(*corners, atol=1e-3)
    np.testing.assert_allclose(after.get_sform(), after.get_qform(), atol=1e-4)
    assert after.get_data_dtype() == np.float32
    blocks = after.get_fdata().reshape(34, 4, 41, 4, 5).mean((1, 3))
    assert np.abs(blocks - before.get_fdata()).mean() < 0.02 * before.get_fdata().max()


@pytest.mark.parametrize("slice_axis", [0, 1])
def test_slice_axis_says_what_is_enlarged(run_bundle: Run, scan: Path, tmp_path: Path, slice_axis: int) -> None:
    run_bundle(BUNDLE, "inference", "inference", input=str(scan), output_dir=str(tmp_path / "o"), slice_axis=slice_axis)
    expected = [4 * n for n in (34, 41, 5)]
    expected[slice_axis] //= 4
    assert list(nib.load(tmp_path / "o" / "scan_sr.nii.gz").shape) == expected


def test_tiles_give_the_result_of_the_whole(run_bundle: Run, scan: Path, tmp_path: Path) -> None:
    results = []
    for name, tile_size in (("whole", None), ("tiles", 9)):
        out = str(tmp_path / name)
        run_bundle(BUNDLE, "inference", "inference", input=str(scan), output_dir=out, tile_size=tile_size)
        results.append(nib.load(tmp_path / name / "scan_sr.nii.gz").get_fdata())
    np.testing.assert_allclose(*results, atol=1e-2)


def test_other_variants_of_inference(run_bundle: Run, scan: Path, tmp_path: Path) -> None:
    shapes = []
    for name, overlays, options in (
        ("context", ["context"], {}),
        ("flips", [], {"flip_ensemble": True}),
        ("source", [], {"output_dtype": "source"}),
    ):
        out = str(tmp_path / name)
        run_bundle(BUNDLE, "inference", "inference", *overlays, input=str(scan), output_dir=out, **options)
        shapes.append(nib.load(tmp_path / name / "scan_sr.nii.gz").shape)
    assert shapes == [(136, 164, 5)] * 3


def test_pictures_and_folders_keep_their_kind_and_place(run_bundle: Run, tmp_path: Path) -> None:
    folder = tmp_path / "in" / "deeper"
    folder.mkdir(parents=True)
    pixels = (tiny_volume(3)[:, :, 2] / 8).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "slice.png")
    nib.save(nib.Nifti1Image(tiny_volume(2), AFFINE), tmp_path / "in" / "scan.nii")
    run_bundle(BUNDLE, "inference", "inference", input=str(tmp_path / "in"), output_dir=str(tmp_path / "out"))
    enlarged = np.asarray(Image.open(tmp_path / "out" / "deeper" / "slice_sr.png"), dtype=float)
    assert enlarged.shape == (136, 164)
    assert np.abs(enlarged.reshape(34, 4, 41, 4).mean((1, 3)) - pixels).mean() < 5
    assert (tmp_path / "out" / "scan_sr.nii").is_file()


def test_an_image_smaller_than_the_network_sees_works(run_bundle: Run, tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(tiny_volume(1)[16:18, 20:23], AFFINE), tmp_path / "small.nii.gz")
    out = tmp_path / "out"
    run_bundle(BUNDLE, "inference", "inference", input=str(tmp_path / "small.nii.gz"), output_dir=str(out))
    assert nib.load(out / "small_sr.nii.gz").shape == (8, 12, 5)


def test_one_bad_scan_does_not_stop_the_others(run_bundle: Run, scan: Path, tmp_path: Path) -> None:
    (scan.parent / "torn.nii.gz").write_bytes(scan.read_bytes()[:2000])
    (scan.parent / "text.png").write_text("no picture")
    out = tmp_path / "out"
    words = _refusal(run_bundle, "inference", "inference", input=str(scan.parent), output_dir=str(out))
    assert "2 of 3 inputs failed" in words
    assert "torn.nii.gz" in words
    assert "text.png" in words
    assert [p.name for p in out.iterdir()] == ["scan_sr.nii.gz"]


def _save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    nib.save(nib.Nifti1Image(array, affine), path)


def _save_singular(path: Path, array: np.ndarray) -> None:
    image = nib.Nifti1Image(array, None)
    image.header.set_sform(np.diag([0.0, 1, 1, 1]), code=1)
    image.header["qform_code"] = 0
    image.to_filename(path)


def _bad_scans() -> dict[str, Callable[[Path], None]]:
    volume = tiny_volume(0)
    with_nan = volume.copy()
    with_nan[3, 4, 1] = np.nan
    return {
        "nan": lambda p: _save(p, with_nan),
        "5d": lambda p: _save(p, np.ones((4, 4, 4, 2, 2), np.float32)),
        "singular": lambda p: _save_singular(p, volume),
        "constant": lambda p: _save(p, np.full((9, 9, 3), 7, np.float32)),
        "truncated": lambda p: (_save(p, volume), p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]), None)[2],
        "text": lambda p: p.write_text("hello") and None,
    }


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", sorted(_bad_scans()))
def test_bad_scans_are_refused_by_name_and_nothing_is_left(run_bundle: Run, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"{kind}.nii.gz"
    _bad_scans()[kind](path)
    out = tmp_path / "out"
    words = _refusal(run_bundle, "inference", "inference", input=str(path), output_dir=str(out))
    assert path.name in words
    assert list(out.iterdir()) == []


def test_wrong_use_of_inference(run_bundle: Run, scan: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")

    def refusal(**override: Any) -> str:
        return _refusal(run_bundle, "inference", "inference", **{"input": str(scan), "output_dir": out, **override})

    assert "nothing.nii" in refusal(input=str(tmp_path / "nothing.nii"))
    (tmp_path / "file").write_text("in the way")
    assert "cannot be written to" in refusal(output_dir=str(tmp_path / "file" / "out"))
    assert "scale_factor" in refusal(scale_factor=3)
    (tmp_path / "half.pt").write_bytes(b"PK\x03\x04 half a zip")
    assert "half.pt" in refusal(checkpoint=str(tmp_path / "half.pt"))
    assert "slice_axis" in refusal(slice_axis=5)
    assert "amp" in refusal(**{"inferer#inferer#inferer#inferer#inferer#amp": "often"})
    run_bundle(BUNDLE, "inference", "inference", input=str(scan), output_dir=out)
    assert "--overwrite true" in refusal()
    run_bundle(BUNDLE, "inference", "inference", input=str(scan), output_dir=out, overwrite=True)


def test_wrong_use_of_training(run_bundle: Run, tiny_dataset: dict[str, str], tmp_path: Path) -> None:
    def refusal(**override: Any) -> str:
        out = {"output_dir": str(tmp_path / "out")}
        return _refusal(run_bundle, "training", "train", **{**out, **tiny_dataset, **SHORT, **override})

    assert "missing" in refusal(dataset_dir=str(tmp_path / "missing"))
    (tmp_path / "empty").mkdir()
    assert "empty" in refusal(dataset_dir=str(tmp_path / "empty"))
    assert "openneuro_ds002748" in refusal(data_manifest="openneuro_ds002749")
    manifest = json.loads(Path(tiny_dataset["data_manifest"]).read_text())
    for change, expected in (
        ({"kind": "volumes"}, "kind"),
        ({"split": {**manifest["split"], "test": ["sub-0"]}}, "sub-0"),
        ({"split": {**manifest["split"], "test": ["sub-9"]}}, "sub-9"),
    ):
        path = tmp_path / "changed.json"
        path.write_text(json.dumps({**manifest, **change}))
        assert expected in refusal(data_manifest=str(path))
    assert "multiples of the scale factor" in refusal(patch_size=[22, 24])
    assert "patch_size" in refusal(patch_size=24)
    assert "at least batch_size" in refusal(patches_per_epoch=3)
    assert "max_epochs" in refusal(max_epochs=0)
    assert "seed" in refusal(seed=None)
    broken = tmp_path / "broken"
    shutil.copytree(tiny_dataset["dataset_dir"], broken)
    for name in ("sub-0", "sub-1"):
        path = broken / f"{name}.nii.gz"
        path.write_bytes(path.read_bytes()[:3000])
    words = refusal(dataset_dir=str(broken))
    assert "sub-0.nii.gz" in words
    assert "sub-1.nii.gz" in words
    assert not list((tmp_path / "out").glob("*.pt"))


def test_an_output_folder_with_a_run_is_not_overwritten(
    run_bundle: Run, tiny_dataset: dict[str, str], trained: Path
) -> None:
    before = (trained / "last.pt").read_bytes()
    words = _refusal(run_bundle, "training", "train", output_dir=str(trained), **tiny_dataset, **SHORT)
    assert "holds results already" in words
    assert (trained / "last.pt").read_bytes() == before


def test_a_resumed_run_may_be_longer_and_follows_the_schedule_of_its_config(
    run_bundle: Run, tiny_dataset: dict[str, str], tmp_path: Path, trained: Path
) -> None:
    options = {**tiny_dataset, **SHORT, "max_epochs": 4}
    run_bundle(BUNDLE, "training", "train", output_dir=str(trained), resume=True, **options)
    run_bundle(BUNDLE, "training", "train", output_dir=str(tmp_path / "whole"), **options)
    rates = [[row["learning_rate"] for row in _table(out / "curves.csv")] for out in (trained, tmp_path / "whole")]
    assert rates[0][2:] == rates[1][2:]
    options = {**options, "max_epochs": 5, "learning_rate": 1e-4}
    run_bundle(BUNDLE, "training", "train", output_dir=str(trained), resume=True, **options)
    assert float(_table(trained / "curves.csv")[-1]["learning_rate"]) < 1e-4


def test_an_overwritten_run_leaves_nothing_to_resume(
    run_bundle: Run, tiny_dataset: dict[str, str], trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: PatchPairs, *arguments: Any, **more: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(PatchPairs, "__call__", stop)
    with pytest.raises(KeyboardInterrupt):
        run_bundle(BUNDLE, "training", "train", output_dir=str(trained), overwrite="true", **tiny_dataset, **SHORT)
    assert not list(trained.glob("*.pt"))


def test_masks_of_a_manifest_are_the_foreground(run_bundle: Run, tiny_dataset: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(tiny_dataset["dataset_dir"], folder)
    for path in sorted(folder.glob("sub-?.nii.gz")):
        mask = np.zeros((34, 41, 5), np.uint8)
        mask[10:20, 10:30] = 1
        nib.save(nib.Nifti1Image(mask, AFFINE), folder / f"mask_{path.name}")
    manifest = json.loads((folder / "tiny.json").read_text())
    (folder / "tiny.json").write_text(json.dumps({**manifest, "mask_pattern": "mask_{subject}.nii.gz"}))
    data = {"dataset_dir": str(folder), "data_manifest": str(folder / "tiny.json")}
    run_bundle(BUNDLE, "training", "train", output_dir=str(tmp_path / "out"), **data, **SHORT)
    run_bundle(BUNDLE, "evaluating", "train", "evaluate", output_dir=str(tmp_path / "out"), **data)
    run_bundle(BUNDLE, "evaluating", "train", "evaluate", output_dir=str(tmp_path / "found"), **tiny_dataset)
    masked, found = (_table(tmp_path / name / "metrics.csv") for name in ("out", "found"))
    cubic = [next(row for row in table if row["method"] == "cubic") for table in (masked, found)]
    assert cubic[0]["psnr"] == cubic[1]["psnr"]
    assert cubic[0]["psnr_foreground"] != cubic[1]["psnr_foreground"]


@pytest.mark.parametrize("place", ["out", "."])
def test_results_are_no_scans_of_the_next_run(run_bundle: Run, scan: Path, place: str) -> None:
    options = {"input": str(scan.parent), "output_dir": str(scan.parent / place), "overwrite": "true"}
    for _ in range(2):
        run_bundle(BUNDLE, "inference", "inference", **options)
    assert len(list(scan.parent.rglob("*.nii.gz"))) == 2


def test_report_adds_figures_and_a_picture_for_each_scan(run_bundle: Run, scan: Path, tmp_path: Path) -> None:
    (scan.parent / "torn.nii.gz").write_bytes(scan.read_bytes()[:2000])
    options = {"input": str(scan.parent), "output_dir": str(tmp_path / "out"), "report": "true"}
    assert "torn.nii.gz" in _refusal(run_bundle, "inference", "inference", **options)
    (line,) = json.loads((tmp_path / "out" / "inference.json").read_text())
    assert line["scan"] == str(scan)
    assert line["result"] == str(tmp_path / "out" / "scan_sr.nii.gz")
    assert line["seconds"] > 0
    assert line["peak_memory_mib"] > 50
    image, result = nib.load(scan).get_fdata(), nib.load(line["result"]).get_fdata()
    again = result.reshape(34, 4, 41, 4, 5).mean((1, 3))
    scale = np.percentile(image[image > 0.1 * np.percentile(image[image > 0], 99.9)], 99.9)
    assert line["consistency"] == pytest.approx(np.sqrt(np.mean((again - image) ** 2)) / scale, rel=1e-3)
    pictures = [path.name for path in (tmp_path / "out" / "pictures").iterdir()]
    assert len(pictures) == 1
    with Image.open(tmp_path / "out" / "pictures" / pictures[0]) as picture:
        assert picture.size[0] > 500
