"""Inference with results that agree with their input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from bundle_cases import BundleCase, Command, refusal
from monai.bundle import ConfigParser
from tiny_scans import AFFINE, tiny_volume

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


#: Which degradation is undone, by the scale of a bundle; all of them are stable.
ACQUISITIONS: dict[int, dict[str, Any]] = {
    4: {
        "_target_": "custom.degradations.SliceBySlice",
        "in_plane": {"_target_": "custom.degradations.AreaMean", "scale_factor": 4, "spatial_dims": 2},
    },
    1: {"_target_": "custom.degradations.GaussianBlur", "sigma": 0.5, "spatial_dims": 3},
}


def test_a_result_agrees_with_its_input_where_that_is_asked_for(
    command: Command, case: BundleCase, tmp_path: Path
) -> None:
    acquisition = ACQUISITIONS[max(case.scale)]
    degrade = ConfigParser({"it": acquisition}).get_parsed_content("it")

    def contradiction(result: np.ndarray) -> float:
        again = degrade(torch.from_numpy(result)[None, None])[0, 0].numpy()
        return float(np.abs(again - SCAN).max() / SCAN.max())

    plain = _infer(command, tmp_path, "off", acquisition=acquisition)
    exact = _infer(
        command, tmp_path, "exact", acquisition=acquisition, data_consistency="exact", tile_size=20, report=True
    )
    regularised = _infer(command, tmp_path, "regularised", acquisition=acquisition, data_consistency="regularised")
    (line,) = json.loads((tmp_path / "exact" / "inference.json").read_text())
    assert line["data_consistency"] == "exact"
    assert contradiction(exact) < 1e-5
    assert 1e-4 < contradiction(regularised) < contradiction(plain)


@pytest.mark.parametrize(("key", "value"), [("data_consistency", "always"), ("expected_error", "none")])
def test_wrong_words_are_wrong_use(command: Command, tmp_path: Path, key: str, value: str) -> None:
    assert f"{key} is '{value}'" in refusal(2, _infer, command, tmp_path, "none", **{key: value})
