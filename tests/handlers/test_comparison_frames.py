"""Evaluating scans with frames, several scans of one subject, and figures on z-scores."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
import torch
from monai.data import Dataset, MetaTensor
from torch.utils.data import DataLoader

from custom.arrays.intensity import foreground_mask
from custom.arrays.slices import volume_to_slices
from custom.degradations import AreaMean, SliceBySlice
from custom.engines import ScanEvaluator, VolumePair
from custom.evaluation.comparison import Prediction, compare
from custom.handlers import comparison as comparison_module
from custom.handlers.comparison import ComparisonTable
from custom.handlers.subject_metrics import SubjectPSNR, SubjectSSIM
from custom.inferers import Frames, VolumeSlices
from custom.metrics import hfen, mae, psnr, ssim
from custom.metrics.lpips import LPIPS, WEIGHTS_VARIABLE

METRICS = {"psnr": psnr, "ssim": ssim, "mae": mae, "hfen": hfen}


@pytest.fixture(autouse=True)
def _no_lpips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WEIGHTS_VARIABLE, raising=False)


def _beating(frames: int = 3, shape: tuple[int, ...] = (26, 22, 4), brightness: float = 1.0) -> torch.Tensor:
    """A disc with waves that grows and shrinks: (frames, *shape)."""
    axes = torch.meshgrid(*[torch.linspace(-1, 1, n) for n in shape], indexing="ij")
    radius = 0.6 + 0.3 * torch.cos(torch.arange(frames) * 2)
    inside = axes[0] ** 2 + axes[1] ** 2 < radius.reshape(-1, *[1] * len(shape))
    return brightness * inside * (0.6 + 0.2 * torch.sin(9 * axes[0]) * torch.cos(7 * axes[1]))


def _evaluate(folder, labels, subjects, handlers=(), **options):
    degradation = SliceBySlice(AreaMean(2, spatial_dims=2))
    data = [
        {
            "label": MetaTensor(label, affine=np.diag([2.0, 2, 8, 1]), meta={"filename_or_obj": f"{i}.nii"}),
            "subject": subject,
        }
        for i, (label, subject) in enumerate(zip(labels, subjects, strict=True))
    ]
    evaluator = ScanEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(data), batch_size=None),
        prepare_batch=VolumePair(degradation),
        network=degradation.in_plane.upsampler("linear"),
        inferer=Frames(inferer=VolumeSlices()),
        key_val_metric={"psnr": SubjectPSNR()},
        additional_metrics={"ssim": SubjectSSIM(degradation)},
        val_handlers=[ComparisonTable(folder, degradation, **options)],
    )
    evaluator.run()
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file)), evaluator.state.metrics


@pytest.mark.parametrize("dims", [2, 3])
def test_figures_are_over_all_frames_and_neighbourhoods_within_one(dims):
    degradation = AreaMean(2, spatial_dims=dims)
    degradation = SliceBySlice(degradation) if dims == 2 else degradation
    hr = _beating()[None]
    lr = degradation(hr)
    guess = hr + 0.05 * torch.cos(torch.arange(hr.numel()).reshape(hr.shape).float())
    inside = torch.as_tensor(foreground_mask(hr, spatial_dims=3))
    found = compare("s", lr, hr, {"model": Prediction(guess)}, degradation, mask=inside)
    # Oracle: the frames as a batch of volumes, or their slices as one of images.
    batch = [volume_to_slices(hr[:, t : t + 1]) for t in range(3)] if dims == 2 else list(hr[0, :, None, None])
    truth = torch.cat(batch)
    for row in found.rows:
        image = found.images[row["method"]]
        assert image.shape == hr.shape
        frames = [image[:, t : t + 1] for t in range(3)]
        image = torch.cat([volume_to_slices(frame) for frame in frames] if dims == 2 else frames)
        masks = [inside[:, t : t + 1] for t in range(3)]
        mask = torch.cat([volume_to_slices(m) for m in masks] if dims == 2 else masks)
        for name, function in METRICS.items():
            assert row[name] == pytest.approx(function(image, truth), rel=1e-5)
            assert row[f"{name}_foreground"] == pytest.approx(function(image, truth, mask), rel=1e-5)
    squared = (guess - hr).square().mean().item()
    assert found.rows[-1]["psnr"] == pytest.approx(-10 * math.log10(squared), rel=1e-5)


def test_one_mask_serves_all_frames():
    hr = _beating()[None]
    degradation = SliceBySlice(AreaMean(2, spatial_dims=2))
    lr = degradation(hr)
    one = (hr > 0).any(1, keepdim=True)
    rows = [compare("s", lr, hr, {}, degradation, mask=m).rows[2] for m in (one, one.expand_as(hr))]
    assert {k: v for k, v in rows[0].items() if k != "seconds"} == pytest.approx(
        {k: v for k, v in rows[1].items() if k != "seconds"}, nan_ok=True
    )


def test_lpips_of_frames_is_the_mean_over_all_their_slices():
    torch.manual_seed(0)
    network = LPIPS()
    for head in network.heads:
        head.data.uniform_(0, 1)
    pred, target = torch.rand(2, 1, 3, 33, 34, 2)
    singles = [
        network.of_images(pred[:, t : t + 1, ..., k], target[:, t : t + 1, ..., k]) for t in range(3) for k in range(2)
    ]
    assert len(set(singles)) == 6
    assert network.of_images(pred, target) == pytest.approx(np.mean(singles), rel=1e-5)
    slices = [volume_to_slices(image) for image in (pred, target)]
    assert network.of_images(*slices) == pytest.approx(np.mean(singles), rel=1e-5)


def test_a_hole_is_filled_within_its_frame():
    image = np.zeros((1, 3, 9, 9, 1), np.float32)
    image[0, :, 2:7, 2:7] = 1
    image[0, 1, 4, 4] = 0
    image[0, 2, 4, 4:] = 0  # an open bay
    mask = foreground_mask(image, spatial_dims=3)
    assert mask.shape == image.shape
    assert mask[0, 1, 4, 4, 0]
    assert not mask[0, 2, 4, 4:, 0].any()
    # One threshold for all frames: a dark frame is no foreground.
    image[0, 0] *= 0.05
    assert not foreground_mask(image, spatial_dims=3)[0, 0].any()


def test_a_cine_from_loader_to_table(tmp_path, monkeypatch):
    titles = []
    draw = comparison_module.comparison_picture
    monkeypatch.setattr(
        comparison_module,
        "comparison_picture",
        lambda *a, **k: titles.append((k["title"], k["hr"].shape)) or draw(*a, **k),
    )
    label = _beating(brightness=700.0)
    rows, metrics = _evaluate(tmp_path, [label], ["a"])
    assert [row["method"] for row in rows] == ["nearest", "linear", "cubic", "zero_filled", "model"]
    by_method = {row["method"]: row for row in rows}
    assert float(by_method["model"]["psnr"]) == pytest.approx(float(by_method["linear"]["psnr"]), abs=1e-3)
    assert metrics["psnr"] == pytest.approx(float(by_method["model"]["psnr"]), rel=1e-6)
    assert metrics["ssim"] == pytest.approx(float(by_method["model"]["ssim"]), rel=1e-6)
    assert titles == [("a", (1, 3, 26, 22, 4))]
    assert (tmp_path / "pictures" / "a.png").stat().st_size > 10_000


def test_one_scale_serves_all_frames():
    label = _beating()
    label[1] *= 0.5
    _, hr = VolumePair(SliceBySlice(AreaMean(2, spatial_dims=2)))({"label": label[None]}, torch.device("cpu"))
    ratio = hr[0] / label
    values = ratio[label > 0]
    torch.testing.assert_close(values, values[0].expand_as(values))


def test_images_of_a_subject_are_one_row_each_figure_averaged(tmp_path):
    images = [_beating(1, (26, 22), brightness=b)[:, :, :] + 0.1 * b for b in (100.0, 300.0, 500.0)]
    images[1][:, ::2] += 40
    rows, _ = _evaluate(tmp_path / "all", images, ["a", "a", "b"], zscore=True)
    assert [(r["subject"], r["method"]) for r in rows if r["method"] == "cubic"] == [("a", "cubic"), ("b", "cubic")]
    assert len(rows) == 10
    singles = [_evaluate(tmp_path / str(i), [images[i]], ["a"], zscore=True)[0] for i in range(2)]
    for name in (*METRICS, "consistency", "psnr_zscore", "ssim_zscore"):
        for row, first, second in zip(rows[:5], *singles, strict=True):
            assert float(row[name]) == pytest.approx((float(first[name]) + float(second[name])) / 2)
    assert float(singles[0][2]["psnr"]) != pytest.approx(float(singles[1][2]["psnr"]), abs=0.1)


def test_zscore_columns_come_when_asked_for(tmp_path):
    plain, _ = _evaluate(tmp_path / "plain", [_beating()], ["a"], pictures=False)
    assert not any("zscore" in name for name in plain[0])
    assert "z-scores" not in (tmp_path / "plain" / "table.md").read_text()
    rows, metrics = _evaluate(tmp_path / "z", [_beating()], ["a"], pictures=False, zscore=True)
    assert list(rows[0])[-2:] == ["psnr_zscore", "ssim_zscore"]
    assert metrics["difference_psnr_zscore"] == pytest.approx(metrics["difference_psnr"], rel=1e-4)
    assert "PSNR of z-scores (dB) ↑" in (tmp_path / "z" / "table.md").read_text()


def test_checkerboard_column_comes_when_asked_for(tmp_path):
    rows, _ = _evaluate(tmp_path / "c", [_beating()], ["a"], pictures=False, lattice=True)
    found = {row["method"]: float(row["checkerboard"]) for row in rows}
    # Nearest leaves the cells themselves; a cubic error has none.
    assert found["nearest"] > 2 * found["cubic"] > 0
