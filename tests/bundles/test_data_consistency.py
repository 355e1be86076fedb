"""Inference with results that agree with their input."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from bundle_cases import Command, refusal
from tiny_scans import AFFINE, tiny_volume

from custom.degradations import AreaMean, SliceBySlice

SCAN = tiny_volume(3)[:, :-1]


def _infer(command: Command, tmp_path: Path, name: str, **keys: object) -> np.ndarray:
    nib.save(nib.Nifti1Image(SCAN.astype(np.float32), AFFINE), tmp_path / "scan.nii.gz")
    out = tmp_path / name
    command("inference", "inference", input=str(tmp_path / "scan.nii.gz"), output_dir=str(out), **keys)
    result = nib.load(out / "scan_sr.nii.gz")
    mode = keys.get("data_consistency", "off")
    applied = b"" if mode == "off" else f", data consistency {mode}".encode()
    assert result.header["descrip"].item().startswith(b"float32" + applied + b", cpu (")
    return np.asarray(result.dataobj)


def _contradiction(result: np.ndarray) -> float:
    again = SliceBySlice(AreaMean(4, 2))(torch.from_numpy(result)[None, None])[0, 0].numpy()
    return float(np.abs(again - SCAN).max() / SCAN.max())


def test_a_result_agrees_with_its_input_where_that_is_asked_for(command: Command, tmp_path: Path) -> None:
    """`acquisition` says which degradation is undone; here it is the area mean for every bundle."""
    mean = {
        "_target_": "custom.degradations.SliceBySlice",
        "in_plane": {"_target_": "custom.degradations.AreaMean", "scale_factor": 4, "spatial_dims": 2},
    }
    plain = _infer(command, tmp_path, "off", acquisition=mean)
    exact = _infer(command, tmp_path, "exact", acquisition=mean, data_consistency="exact", tile_size=20, report=True)
    regularised = _infer(command, tmp_path, "regularised", acquisition=mean, data_consistency="regularised")
    (line,) = json.loads((tmp_path / "exact" / "inference.json").read_text())
    assert line["data_consistency"] == "exact"
    assert _contradiction(exact) < 1e-5
    assert 1e-4 < _contradiction(regularised) < _contradiction(plain)


@pytest.mark.parametrize(("key", "value"), [("data_consistency", "always"), ("expected_error", "none")])
def test_wrong_words_are_wrong_use(command: Command, tmp_path: Path, key: str, value: str) -> None:
    assert f"{key} is '{value}'" in refusal(2, _infer, command, tmp_path, "none", **{key: value})
