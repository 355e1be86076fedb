from __future__ import annotations

import csv
import json
import logging
import math
from importlib.metadata import version
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator

from custom.arrays.slices import volume_to_slices
from custom.degradations import UPSAMPLING_METHODS, AreaMean, SliceBySlice
from custom.errors import UsageError
from custom.evaluation.comparison import Prediction, compare
from custom.handlers.comparison import ComparisonTable
from custom.metrics import hfen, mae, psnr, ssim
from custom.metrics.lpips import WEIGHTS_VARIABLE


@pytest.fixture(autouse=True)
def _no_lpips(monkeypatch):
    monkeypatch.delenv(WEIGHTS_VARIABLE, raising=False)


def head(shape=(26, 22, 5), shift=0.0):
    """An ellipsoid with waves in it, zero outside: (1, *shape)."""
    axes = torch.meshgrid(*[torch.linspace(-1, 1, n) for n in shape], indexing="ij")
    inside = sum(x**2 for x in axes) < 0.8
    waves = 0.6 + 0.2 * torch.sin(9 * axes[0] + shift) * torch.cos(7 * axes[1])
    return torch.where(inside, waves, torch.zeros(()))[None]


def scale_two(slice_axis=-1):
    return SliceBySlice(AreaMean(2, spatial_dims=2), slice_axis)


class Doubler(torch.nn.Module):
    """Stands for a network on volumes: cubic, and a little wrong."""

    def forward(self, image):
        return scale_two().upsample(image, "cubic") + 0.01


def evaluate(folder, heads, subjects, **options):
    degradation = scale_two()
    data = []
    for i, (label, subject) in enumerate(zip(heads, subjects, strict=True)):
        image = degradation(label[None])[0]
        label = MetaTensor(label, affine=np.diag([2.0, 2, 3, 1]), meta={"filename_or_obj": f"{i}.nii"})
        data.append({"image": image, "label": label, "subject": subject})
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(data), batch_size=1),
        network=Doubler(),
        val_handlers=[ComparisonTable(folder, degradation, **options)],
    )
    evaluator.state.seconds = 0.25
    evaluator.run()
    return evaluator.state.metrics


def rows_in(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_method_is_measured_by_slice():
    hr = head()[None]
    degradation = AreaMean(2, spatial_dims=2)
    lr = degradation(volume_to_slices(hr)).movedim(0, -1)[None]
    guess = hr + 0.05 * torch.cos(torch.arange(hr.numel()).reshape(hr.shape).float())
    found = compare("s", lr, hr, {"model": Prediction(guess, 1.5)}, scale_two(), mask=hr > 0)
    assert [row["method"] for row in found.rows] == [*UPSAMPLING_METHODS, "model"]
    truth, inside = volume_to_slices(hr), volume_to_slices(hr > 0)
    low = volume_to_slices(lr)
    for row in found.rows:
        image = guess if row["method"] == "model" else found.images[row["method"]]
        slices = volume_to_slices(image)
        if row["method"] != "model":
            assert torch.equal(slices, degradation.upsample(low, row["method"], size=hr.shape[2:4]))
        for name, function in (("psnr", psnr), ("ssim", ssim), ("mae", mae), ("hfen", hfen)):
            assert row[name] == pytest.approx(function(slices, truth))
            assert row[f"{name}_foreground"] == pytest.approx(function(slices, truth, inside))
        assert row["consistency"] == pytest.approx(float((degradation(slices) - low).square().mean().sqrt()), abs=1e-7)
        assert row["subject"] == "s"
        assert math.isnan(row["lpips"])
    assert found.rows[-1]["seconds"] == 1.5
    assert all(row["seconds"] >= 0 for row in found.rows)
    assert torch.equal(found.images["model"], guess)


@pytest.mark.parametrize("slice_axis", [0, 1, -1])
def test_the_slice_axis_only_turns_the_volume(slice_axis):
    hr = head((24, 20, 4))[None]
    lr = scale_two()(hr)
    straight = compare("s", lr, hr, {}, scale_two(), mask=hr > 0)
    turned = [x.movedim(-1, range(2, 5)[slice_axis]) for x in (lr, hr, hr > 0)]
    found = compare("s", *turned[:2], {}, scale_two(slice_axis), mask=turned[2])
    for row, other in zip(straight.rows, found.rows, strict=True):
        assert {k: v for k, v in row.items() if k != "seconds"} == pytest.approx(
            {k: v for k, v in other.items() if k != "seconds"}, nan_ok=True
        )
    assert torch.equal(found.images["cubic"].movedim(range(2, 5)[slice_axis], -1), straight.images["cubic"])


def test_images_and_volumes_of_a_3d_degradation_are_taken_whole():
    for degradation, shape in ((scale_two(), (25, 22)), (AreaMean(2, spatial_dims=3), (21, 16, 13))):
        hr = head(shape)[None]
        found = compare("s", degradation(hr), hr, {}, degradation)
        for row in found.rows:
            assert found.images[row["method"]].shape == hr.shape
            assert row["ssim"] == pytest.approx(ssim(found.images[row["method"]], hr))


def test_a_border_is_left_out_for_all_methods():
    hr = head((30, 30, 3))[None]
    degradation = scale_two()
    lr = degradation(hr)
    wrong_at_the_rim = hr.clone()
    wrong_at_the_rim[:, :, :3] += 1
    given = {"model": Prediction(wrong_at_the_rim)}
    row = compare("s", lr, hr, given, degradation, crop_border=3).rows[-1]
    assert row["psnr"] == pytest.approx(100)
    assert compare("s", lr, hr, given, degradation).rows[-1]["psnr"] < 20


def test_the_handler_writes_the_files_and_publishes_the_means(tmp_path, caplog):
    weights = tmp_path / "model.pt"
    weights.write_bytes(b"abc")
    with caplog.at_level(logging.INFO):
        metrics = evaluate(
            tmp_path / "out", [head(), head(shift=1.0)], ["b", "a"],
            manifest=SimpleNamespace(name="m", digest="d"), weights=weights,
        )  # fmt: skip
    assert sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")) == [
        "metrics.csv",
        "pictures/a.png",
        "pictures/b.png",
        "summary.json",
        "table.md",
    ]
    rows = rows_in(tmp_path / "out")
    assert len(rows) == 10
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["manifest"] == {"name": "m", "digest": "d"}
    assert summary["weights_sha256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert summary["versions"]["torch"] == version("torch")
    assert {"custom", "python", "torch", "monai", "numpy"} <= set(summary["versions"])
    for method in (*UPSAMPLING_METHODS, "model"):
        mean = np.mean([float(row["psnr"]) for row in rows if row["method"] == method])
        assert metrics[f"{method}_psnr"] == pytest.approx(mean)
    assert metrics["difference_psnr"] == pytest.approx(metrics["model_psnr"] - metrics["cubic_psnr"])
    assert metrics["model_seconds"] == 0.25
    assert "model_lpips" not in metrics
    assert (tmp_path / "out" / "table.md").read_text().split("# Results\n\n")[1].strip() in caplog.text


def test_scans_of_one_subject_are_one_row(tmp_path):
    evaluate(tmp_path, [head(), head(shift=1.0), head(shift=2.0)], ["a", "a", "b"], pictures=False)
    rows = rows_in(tmp_path)
    assert [(row["subject"], row["method"]) for row in rows if row["method"] == "model"] == [
        ("a", "model"),
        ("b", "model"),
    ]
    assert not (tmp_path / "pictures").exists()
    evaluate(tmp_path / "first", [head()], ["a"], pictures=False)
    evaluate(tmp_path / "second", [head(shift=1.0)], ["a"], pictures=False)
    single = [float(rows_in(tmp_path / name)[4]["psnr"]) for name in ("first", "second")]
    assert float(rows[4]["psnr"]) == pytest.approx(np.mean(single))


def test_the_foreground_is_found_where_none_is_given(tmp_path):
    evaluate(tmp_path, [head()], ["a"], pictures=False)
    row = rows_in(tmp_path)[2]
    assert 0 < float(row["mae"]) < float(row["mae_foreground"])


def test_another_name_for_the_network(tmp_path):
    metrics = evaluate(tmp_path, [head()], ["a"], model_name="espcn", pictures=False)
    assert {"espcn_psnr", "difference_psnr"} <= set(metrics)
    assert rows_in(tmp_path)[-1]["method"] == "espcn"
    with pytest.raises(UsageError, match="'cubic'"):
        ComparisonTable(tmp_path, scale_two(), model_name="cubic")


def test_an_engine_without_input_images_is_told(tmp_path):
    handler = ComparisonTable(tmp_path, scale_two())
    item = {"label": head(), "pred": head()}
    engine = SimpleNamespace(state=SimpleNamespace(output=[item], batch=[{"subject": "a"}]))
    with pytest.raises(UsageError, match="'image'"):
        handler.measure(engine)


def test_further_networks_are_measured_on_the_same_scans(tmp_path):
    class Worse(Doubler):
        def __init__(self):
            super().__init__()
            self.unused = torch.nn.Linear(3, 4)

        def forward(self, image):
            assert not self.training
            return super().forward(image) + 0.1

    metrics = evaluate(tmp_path, [head()], ["a"], networks={"worse": Worse().train()}, references=["worse"])
    rows = {row["method"]: row for row in rows_in(tmp_path)}
    assert list(rows) == [*UPSAMPLING_METHODS, "model", "worse"]
    # The offsets of both from cubic are known, and nearly all of their error.
    assert float(rows["model"]["mae"]) < float(rows["worse"]["mae"]) == pytest.approx(0.11, abs=0.03)
    assert float(rows["worse"]["seconds"]) > 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    gain = metrics["difference_psnr"] - summary["difference_from_cubic"]["worse"]["psnr"]["mean"]
    assert gain > 0
    assert summary["difference_from_worse"]["model"]["psnr"]["mean"] == pytest.approx(gain)
    assert summary["parameters"] == {"model": 0, "worse": 16}
    assert "Difference from worse" in (tmp_path / "table.md").read_text()
    assert (tmp_path / "pictures" / "a.png").is_file()


def test_further_networks_need_names_of_their_own(tmp_path):
    for name in ("model", "cubic"):
        with pytest.raises(UsageError, match=name):
            ComparisonTable(tmp_path, scale_two(), networks={name: Doubler()})
    with pytest.raises(UsageError, match="lanczos"):
        ComparisonTable(tmp_path, scale_two(), references=["lanczos"])
