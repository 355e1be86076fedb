"""What the commands refuse, whichever bundle: one clear error with its exit code, and nothing half-written."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from bundle_cases import BUNDLES, BundleCase, Command, refusal
from tiny_scans import AFFINE, tiny_volume

from custom.weights import read_checkpoint


def test_one_bad_scan_does_not_stop_the_others(command: Command, scan: Path, tmp_path: Path) -> None:
    (scan.parent / "torn.nii.gz").write_bytes(scan.read_bytes()[:2000])
    (scan.parent / "text.png").write_text("no picture")
    out = tmp_path / "out"
    words = refusal(1, command, "inference", "inference", input=str(scan.parent), output_dir=str(out))
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


def _save_without_voxels(path: Path, array: np.ndarray) -> None:
    content = bytearray(nib.Nifti1Image(array, AFFINE).to_bytes())
    struct.pack_into("<h", content, 42, 0)  # the length of the first axis; nibabel would not write this
    path.write_bytes(gzip.compress(bytes(content)))


class _Payload:
    """Pickled, it makes a file when it is read by a reader that runs what it reads."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (self.made,)


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
        "no_voxels": lambda p: _save_without_voxels(p, volume),
        "text": lambda p: p.write_text("hello") and None,
    }


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", sorted(_bad_scans()))
def test_bad_scans_are_refused_by_name_and_nothing_is_left(command: Command, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"{kind}.nii.gz"
    _bad_scans()[kind](path)
    out = tmp_path / "out"
    words = refusal(1, command, "inference", "inference", input=str(path), output_dir=str(out))
    assert path.name in words
    assert list(out.iterdir()) == []


def _switches(case: BundleCase, name: str) -> list[str]:
    """The keys of a config that are on or off; whoever reads them takes them as the command line gives them."""
    config = json.loads((BUNDLES / case.name / "configs" / f"{name}.json").read_text())
    return [key for key, value in config.items() if isinstance(value, bool)]


def test_wrong_use_of_inference(command: Command, case: BundleCase, scan: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")

    def refused(exit_code: int, **keys: Any) -> str:
        return refusal(exit_code, command, "inference", "inference", **{"input": str(scan), "output_dir": out, **keys})

    for key in (None, ""):
        assert "no input is given" in refused(2, input=key)
    assert not Path(out).exists()
    assert "nothing.nii" in refused(1, input=str(tmp_path / "nothing.nii"))
    (tmp_path / "file").write_text("in the way")
    assert "cannot be written to" in refused(1, output_dir=str(tmp_path / "file" / "out"))
    if not case.of_volumes:
        assert "slice_axis" in refused(2, slice_axis=5)
    assert "amp" in refused(2, amp="often")
    for key in _switches(case, "inference"):
        assert f"{key} is 'perhaps'; give true" in refused(2, **{key: "perhaps"})
    assert not list(Path(out).glob("*"))
    command("inference", "inference", input=str(scan), output_dir=out)
    assert "--overwrite true" in refused(1)
    command("inference", "inference", input=str(scan), output_dir=out, overwrite=True)


def test_checkpoints_that_do_not_fit_or_would_run_code(
    command: Command, case: BundleCase, scan: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def refused(**keys: Any) -> str:
        return refusal(1, command, "inference", "inference", input=str(scan), output_dir=str(out), **keys)

    assert "scale_factor" in refused(scale_factor=2 * max(case.scale))
    (tmp_path / "half.pt").write_bytes(b"PK\x03\x04 half a zip")
    assert "half.pt: truncated" in refused(checkpoint=str(tmp_path / "half.pt"))
    torch.save({"0.weight": torch.ones(3)}, tmp_path / "other.pt")
    assert "other.pt: not the weights of this network" in refused(checkpoint=str(tmp_path / "other.pt"))
    payload, made = tmp_path / "payload.pt", tmp_path / "made"
    weights = read_checkpoint(BUNDLES / case.name / "models" / "model.pt")
    torch.save({**weights, "extra": _Payload(made)}, payload)
    assert "payload.pt: not a checkpoint, or one that holds more than plain tensors" in refused(checkpoint=str(payload))
    assert not made.exists()
    torch.load(payload, weights_only=False)
    assert made.exists()  # so it would have run
    assert not list(out.glob("*"))


def test_resuming_needs_a_run_and_epochs_to_do(
    command: Command, dataset: dict[str, str], case: BundleCase, trained: Path
) -> None:
    def refused(exit_code: int, folder: Path, **keys: Any) -> str:
        options = {**dataset, **case.short, "output_dir": str(folder), "resume": True, **keys}
        return refusal(exit_code, command, "training", "train", **options)

    assert "no run to resume" in refused(1, trained / "none")
    assert "larger max_epochs" in refused(2, trained, max_epochs=1)
    longer = {"max_epochs": 3, "patches_per_epoch": 2 * case.short["patches_per_epoch"]}
    assert "same patches_per_epoch" in refused(2, trained, **longer)
    (trained / "last.pt").write_bytes((trained / "last.pt").read_bytes()[:1000])
    assert "last.pt: truncated" in refused(1, trained, max_epochs=3)


def test_wrong_use_of_training(command: Command, dataset: dict[str, str], case: BundleCase, tmp_path: Path) -> None:
    def refused(exit_code: int, **keys: Any) -> str:
        options = {"output_dir": str(tmp_path / "out"), **dataset, **case.short, **keys}
        return refusal(exit_code, command, "training", "train", **options)

    assert "missing" in refused(1, dataset_dir=str(tmp_path / "missing"))
    (tmp_path / "empty").mkdir()
    assert "empty" in refused(1, dataset_dir=str(tmp_path / "empty"))
    assert "openneuro_ds002748" in refused(2, data_manifest="openneuro_ds002749")
    manifest = json.loads(Path(dataset["data_manifest"]).read_text())
    for change, expected in (
        ({"kind": "volumes"}, "kind"),
        ({"split": {**manifest["split"], "test": ["sub-0"]}}, "sub-0"),
        ({"split": {**manifest["split"], "test": ["sub-9"]}}, "sub-9"),
    ):
        path = tmp_path / "changed.json"
        path.write_text(json.dumps({**manifest, **change}))
        assert expected in refused(1, data_manifest=str(path))
    if max(case.scale) > 1:
        assert "multiples of the scale factor" in refused(2, patch_size=[23, 24])
    assert "patch_size" in refused(2, patch_size=24)
    assert "at least batch_size" in refused(2, patches_per_epoch=1)
    assert "max_epochs" in refused(2, max_epochs=0)
    for key in _switches(case, "train"):
        assert f"{key} is 'perhaps'; give true" in refused(2, **{key: "perhaps"})
    assert "seed" in refused(2, seed=None)
    broken = tmp_path / "broken"
    shutil.copytree(dataset["dataset_dir"], broken)
    for name in ("sub-0", "sub-1"):
        path = broken / f"{name}.nii.gz"
        path.write_bytes(path.read_bytes()[:3000])
    words = refused(1, dataset_dir=str(broken))
    assert "sub-0.nii.gz" in words
    assert "sub-1.nii.gz" in words
    assert not list((tmp_path / "out").glob("*.pt"))


def test_an_output_folder_with_a_run_is_not_overwritten(
    command: Command, dataset: dict[str, str], case: BundleCase, trained: Path
) -> None:
    before = (trained / "last.pt").read_bytes()
    words = refusal(1, command, "training", "train", output_dir=str(trained), **dataset, **case.short)
    assert "holds results already" in words
    assert (trained / "last.pt").read_bytes() == before
