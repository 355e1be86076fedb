from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from PIL import Image

from custom.degradations import AreaMean, SliceBySlice
from custom.handlers.inference_report import InferenceReport
from custom.run import Run

SCALE = 700.0


def infer(handler, items):
    """Run an engine over finished items; None stands for a scan that failed."""

    def step(engine, item):
        engine.state.batch, engine.state.seconds = [{"image_scale": SCALE}], 0.1234
        return item and [item]

    engine = Engine(step)
    engine.state.device = "cpu"
    handler.attach(engine)
    engine.run(items)


def item(path, lr, pred, **meta):
    pred = MetaTensor(SCALE * pred, affine=np.diag([0.5, 0.5, 3.0, 1.0]), meta={"filename_or_obj": "scan.nii", **meta})
    return {"image": lr, "pred": pred, "pred_path": path}


@pytest.mark.parametrize("axis", [0, 2])
def test_a_line_and_a_picture_for_each_result(tmp_path, axis):
    lr, pred = torch.rand(2, 9, 10, 11), torch.rand(2, *[n if a == axis else 2 * n for a, n in enumerate((9, 10, 11))])
    handler = InferenceReport(tmp_path, SliceBySlice(AreaMean(2, spatial_dims=2), axis), Run(amp=True))
    infer(handler, [item(tmp_path / "sub" / "scan_sr.nii.gz", lr, pred), None])
    (line,) = json.loads((tmp_path / "inference.json").read_text())
    blocks = [n for a in range(3) for n in ([lr.shape[a + 1]] if a == axis else [lr.shape[a + 1], 2])]
    inner = [i + 1 for i in range(len(blocks)) if blocks[i] == 2]
    error = pred.reshape(2, *blocks).mean(inner) - lr
    assert line["consistency"] == pytest.approx(error.square().mean().sqrt().item(), abs=1e-5)
    assert (line["scan"], line["seconds"], line["precision"]) == ("scan.nii", 0.123, "bfloat16")
    assert line["result"].endswith("scan_sr.nii.gz")
    with Image.open(tmp_path / "pictures" / "sub_scan_sr.nii.gz.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 20


def test_pictures_have_a_report_and_a_second_run_starts_anew(tmp_path):
    handler = InferenceReport(tmp_path, SliceBySlice(AreaMean(2, spatial_dims=2)), Run())
    for name in ("a", "b"):
        scan = item(tmp_path / f"{name}_sr.png", torch.rand(1, 12, 9), torch.rand(1, 24, 18), kind="image")
        infer(handler, [scan])
    assert [line["result"] for line in json.loads((tmp_path / "inference.json").read_text())] == [
        str(scan["pred_path"])
    ]


def test_nothing_is_written_unless_it_is_asked_for(tmp_path):
    handler = InferenceReport(tmp_path, AreaMean(2, spatial_dims=3), Run(), enabled=False)
    infer(handler, [item(tmp_path / "a_sr.nii.gz", torch.rand(1, 4, 4, 4), torch.rand(1, 8, 8, 8))])
    assert not list(tmp_path.iterdir())
