from __future__ import annotations

import csv
import json
import logging
from importlib.metadata import version
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from monai.data import Dataset, MetaTensor
from torch.utils.data import DataLoader

from custom.arrays.intensity import foreground_mask
from custom.degradations import UPSAMPLING_METHODS, AreaMean, SliceBySlice, WienerUpsampler, wiener_statistics
from custom.engines import ScanEvaluator, VolumePair
from custom.errors import UsageError
from custom.handlers import comparison as comparison_module
from custom.handlers.comparison import ComparisonTable
from custom.handlers.subject_metrics import SubjectPSNR, SubjectSSIM
from custom.inferers import Frames, VolumeSlices
from custom.metrics.lpips import WEIGHTS_VARIABLE

HALF = SliceBySlice(AreaMean(2, spatial_dims=2))


@pytest.fixture(autouse=True)
def _no_lpips(monkeypatch):
    monkeypatch.delenv(WEIGHTS_VARIABLE, raising=False)


def disc(frames=1, shape=(26, 22, 4), brightness=1.0):
    """A disc with waves that grows and shrinks, zero outside: (frames, *shape)."""
    axes = torch.meshgrid(*[torch.linspace(-1, 1, n) for n in shape], indexing="ij")
    radius = 0.6 + 0.3 * torch.cos(torch.arange(frames) * 2)
    inside = axes[0] ** 2 + axes[1] ** 2 < radius.reshape(-1, *[1] * len(shape))
    return brightness * inside * (0.6 + 0.2 * torch.sin(9 * axes[0]) * torch.cos(7 * axes[1]))


class Cubic(torch.nn.Module):
    """Stands for a network: cubic, and wrong by a number."""

    def __init__(self, error=0.01):
        super().__init__()
        self.error = error

    def forward(self, image):
        assert not self.training
        return HALF.upsample(image, "cubic") + self.error


def evaluate(folder, labels, subjects, mask=None, **options):
    """Evaluate from the loader to the table; returns its rows and the metrics of the engine."""
    data = [
        {
            "label": MetaTensor(label, affine=np.diag([2.0, 2, 8, 1]), meta={"filename_or_obj": f"{i}.nii"}),
            "subject": subject,
            "mask": mask,
        }
        for i, (label, subject) in enumerate(zip(labels, subjects, strict=True))
    ]
    evaluator = ScanEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(data), batch_size=None),
        prepare_batch=VolumePair(HALF),
        network=Cubic(),
        inferer=Frames(inferer=VolumeSlices()),
        key_val_metric={"psnr": SubjectPSNR()},
        additional_metrics={"ssim": SubjectSSIM(HALF)},
        val_handlers=[ComparisonTable(folder, HALF, **options)],
    )
    evaluator.run()
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file)), evaluator.state.metrics


def test_the_files_are_written_and_the_means_published(tmp_path, caplog):
    weights, out = tmp_path / "model.pt", tmp_path / "out"
    weights.write_bytes(b"abc")
    options = {"manifest": SimpleNamespace(name="m", digest="d"), "weights": weights}
    with caplog.at_level(logging.INFO):
        rows, metrics = evaluate(out, [disc(), disc(shape=(24, 20, 3))], ["b", "a"], **options)
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.*")) == [
        "metrics.csv",
        "pictures/a.png",
        "pictures/b.png",
        "summary.json",
        "table.md",
    ]
    assert len(rows) == 12
    summary = json.loads((out / "summary.json").read_text())
    assert summary["manifest"] == {"name": "m", "digest": "d"}
    assert summary["weights_sha256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert summary["versions"]["torch"] == version("torch")
    assert {"custom", "python", "torch", "monai", "numpy"} <= set(summary["versions"])
    for method in (*UPSAMPLING_METHODS, "model"):
        mean = np.mean([float(row["psnr"]) for row in rows if row["method"] == method])
        assert metrics[f"{method}_psnr"] == pytest.approx(mean)
    assert metrics["difference_psnr"] == pytest.approx(metrics["model_psnr"] - metrics["cubic_psnr"])
    assert metrics["model_seconds"] > 0
    assert "model_lpips" not in metrics
    assert (out / "table.md").read_text().split("# Results\n\n")[1].strip() in caplog.text


def test_the_wiener_filter_has_a_row_and_a_picture(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(comparison_module, "comparison_picture", lambda path, **options: drawn.append(options))
    hr = disc(3).movedim(-1, 0).flatten(0, 1)[:, None]
    statistics = wiener_statistics([(HALF.in_plane(hr), hr)], (2, 2), 5)
    label = disc(3, shape=(25, 22, 4))  # not a multiple of the scale
    rows, _ = evaluate(tmp_path, [label], ["a"], wiener=WienerUpsampler(statistics, (2, 2)))
    assert [row["method"] for row in rows] == [*UPSAMPLING_METHODS, "wiener", "model"]
    assert float(rows[-2]["psnr"]) > float(rows[3]["psnr"]) + 0.2
    assert list(drawn[0]["images"]) == ["nearest", "cubic", "wiener", "model"]
    assert drawn[0]["images"]["wiener"].shape == (1, *label.shape)


def test_the_best_classical_method_is_chosen_on_validation_subjects(tmp_path):
    blocks = torch.rand(1, 13, 11, 4, generator=torch.Generator().manual_seed(0))
    blocks = blocks.repeat_interleave(2, 1).repeat_interleave(2, 2)  # which nearest restores, and nothing else does
    rows, _ = evaluate(
        tmp_path, [disc()], ["a"], pictures=False, validation=[{"label": MetaTensor(900 * blocks), "subject": "v"}]
    )
    psnr = {row["method"]: float(row["psnr"]) for row in rows}
    assert psnr["nearest"] < psnr["cubic"]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["best_classical"]["method"] == "nearest"
    assert summary["best_classical"]["validation_psnr"]["nearest"] == pytest.approx(100)
    gain = summary["difference_from_best_classical"]["model"]["psnr"]["mean"]
    assert gain == pytest.approx(psnr["model"] - psnr["nearest"])


def test_the_foreground_is_that_of_the_item_or_found(tmp_path):
    label = disc()
    found, given, everywhere = (
        evaluate(tmp_path / name, [label], ["a"], pictures=False, **options)[0][0]
        for name, options in (
            ("found", {}),
            ("given", {"mask": torch.as_tensor(foreground_mask(label, spatial_dims=3))}),
            ("everywhere", {"mask": torch.ones_like(label)}),
        )
    )
    assert found["mae_foreground"] == given["mae_foreground"] != found["mae"]
    assert everywhere["mae_foreground"] == everywhere["mae"]


def test_a_cine_is_measured_over_its_frames_and_drawn_once(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        comparison_module, "comparison_picture", lambda path, **options: drawn.append((path.name, options["hr"].shape))
    )
    rows, metrics = evaluate(tmp_path, [disc(3, brightness=700.0)], ["a"])
    assert [row["method"] for row in rows] == [*UPSAMPLING_METHODS, "model"]
    assert metrics["psnr"] == pytest.approx(float(rows[-1]["psnr"]), rel=1e-6)
    assert metrics["ssim"] == pytest.approx(float(rows[-1]["ssim"]), rel=1e-6)
    assert drawn == [("a.png", (1, 3, 26, 22, 4))]


def test_images_of_a_subject_are_one_row_each_figure_averaged(tmp_path):
    images = [disc(1, (26, 22), brightness=b) + 0.1 * b for b in (100.0, 300.0, 500.0)]
    images[1][:, ::2] += 40
    options = {"zscore": True, "pictures": False}
    rows, _ = evaluate(tmp_path / "all", images, ["a", "a", "b"], **options)
    assert [(r["subject"], r["method"]) for r in rows if r["method"] == "cubic"] == [("a", "cubic"), ("b", "cubic")]
    assert len(rows) == 12
    assert not (tmp_path / "all" / "pictures").exists()
    singles = [evaluate(tmp_path / str(i), [images[i]], ["a"], **options)[0] for i in range(2)]
    for name in ("psnr", "ssim", "mae", "hfen", "consistency", "psnr_zscore", "ssim_zscore"):
        for row, first, second in zip(rows[:6], *singles, strict=True):
            assert float(row[name]) == pytest.approx((float(first[name]) + float(second[name])) / 2)
    assert float(singles[0][2]["psnr"]) != pytest.approx(float(singles[1][2]["psnr"]), abs=0.1)


def test_columns_that_were_not_asked_for_are_not_there(tmp_path):
    plain, _ = evaluate(tmp_path / "plain", [disc(3)], ["a"], pictures=False)
    assert not any("zscore" in name or "checkerboard" in name for name in plain[0])
    assert "z-scores" not in (tmp_path / "plain" / "table.md").read_text()
    rows, metrics = evaluate(tmp_path / "more", [disc(3)], ["a"], pictures=False, zscore=True, lattice=True)
    assert {"psnr_zscore", "ssim_zscore", "checkerboard"} == set(rows[0]) - set(plain[0])
    assert metrics["difference_psnr_zscore"] == pytest.approx(metrics["difference_psnr"], rel=0.1)
    assert "PSNR of z-scores (dB) ↑" in (tmp_path / "more" / "table.md").read_text()
    found = {row["method"]: float(row["checkerboard"]) for row in rows}
    # Nearest leaves the cells themselves; a cubic error has none.
    assert found["nearest"] > 2 * found["cubic"] > 0


def test_further_networks_are_measured_on_the_same_scans(tmp_path):
    worse = torch.nn.Sequential(Cubic(0.1))
    worse.unused = torch.nn.Linear(3, 4)
    worse.forward = worse[0].forward
    rows, metrics = evaluate(tmp_path, [disc()], ["a"], networks={"worse": worse.train()}, references=["worse"])
    by_method = {row["method"]: row for row in rows}
    assert list(by_method) == [*UPSAMPLING_METHODS, "model", "worse"]
    # The offsets of both from cubic are known, and nearly all of their error.
    assert float(by_method["model"]["mae"]) < float(by_method["worse"]["mae"]) == pytest.approx(0.11, abs=0.03)
    assert float(by_method["worse"]["seconds"]) > 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    gain = metrics["difference_psnr"] - summary["difference_from_cubic"]["worse"]["psnr"]["mean"]
    assert gain > 0
    assert summary["difference_from_worse"]["model"]["psnr"]["mean"] == pytest.approx(gain)
    assert summary["parameters"] == {"model": 0, "worse": 16}
    assert "Difference from worse" in (tmp_path / "table.md").read_text()
    assert (tmp_path / "pictures" / "a.png").is_file()


def test_further_networks_need_names_of_their_own(tmp_path):
    for name in ("model", "cubic"):
        with pytest.raises(UsageError, match=f"networks: '{name}'"):
            ComparisonTable(tmp_path, HALF, networks={name: Cubic()})
    with pytest.raises(UsageError, match="references: 'lanczos'"):
        ComparisonTable(tmp_path, HALF, references=["lanczos"])


def test_an_engine_without_input_images_is_told(tmp_path):
    item = {"label": disc(), "pred": disc()}
    engine = SimpleNamespace(state=SimpleNamespace(output=[item], batch=[{"subject": "a"}]))
    with pytest.raises(UsageError, match="'image'"):
        ComparisonTable(tmp_path, HALF).measure(engine)
