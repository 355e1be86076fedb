from __future__ import annotations

import pytest
import torch
from ignite.exceptions import NotComputableError
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator

from custom.arrays.slices import volume_to_slices
from custom.degradations import AreaMean, SliceBySlice
from custom.handlers import items as items_module
from custom.handlers.items import EvaluatedItem
from custom.handlers.subject_metrics import SubjectMean, SubjectPSNR, SubjectSSIM
from custom.metrics import psnr, ssim


def scans(subjects=("a", "a", "b", "c", "d"), shape=(1, 14, 13, 3)):
    """Scans whose network result differs in its error from scan to scan."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for i, subject in enumerate(subjects):
        label = torch.rand(shape, generator=generator)
        image = label + 0.02 * (i + 1) * torch.randn(shape, generator=generator)
        label = MetaTensor(label, meta={"filename_or_obj": f"{i}.nii"})
        found.append({"image": image, "label": label, "subject": subject})
    return found


def evaluate(data, batch_size=1):
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(data), batch_size=batch_size),
        network=torch.nn.Identity(),
        key_val_metric={"psnr": SubjectPSNR()},
        additional_metrics={
            "ssim": SubjectSSIM(SliceBySlice(AreaMean(2, spatial_dims=2))),
            "ssim_3d": SubjectSSIM(AreaMean(2, spatial_dims=3)),
        },
    )
    evaluator.run()
    return dict(evaluator.state.metrics), evaluator.state.best_metric


def expected_psnr(data):
    by_subject: dict[str, list[float]] = {}
    for item in data:
        value = psnr(item["image"][None], item["label"].as_tensor()[None])
        by_subject.setdefault(item["subject"], []).append(value)
    means = [sum(v) / len(v) for v in by_subject.values()]
    return sum(means) / len(means)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_the_mean_is_over_subjects(batch_size):
    data = scans()
    metrics, best = evaluate(data, batch_size=batch_size)
    assert metrics["psnr"] == pytest.approx(expected_psnr(data))
    assert best == metrics["psnr"]


def test_ssim_is_by_slice_or_in_3d_as_the_degradation_acts():
    data = scans(subjects=("a",))
    metrics, _ = evaluate(data)
    pred, label = data[0]["image"][None], data[0]["label"].as_tensor()[None]
    assert metrics["ssim"] == pytest.approx(ssim(volume_to_slices(pred), volume_to_slices(label)))
    assert metrics["ssim_3d"] == pytest.approx(ssim(pred, label))
    assert metrics["ssim"] != pytest.approx(metrics["ssim_3d"], abs=1e-5)


def test_a_scan_of_two_ranks_counts_once(monkeypatch):
    data = scans(subjects=("a", "a", "b"))

    def all_gather(parts, values):
        parts[0], parts[1] = values, values[:1]

    monkeypatch.setattr(items_module.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(items_module.dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(items_module.dist, "all_gather_object", all_gather)
    metric = SubjectMean(psnr)
    for item in data:
        label = item["label"]
        key = label.meta["filename_or_obj"]
        metric.update([EvaluatedItem(item["subject"], key, None, label.as_tensor()[None], item["image"][None])])
    assert metric.compute() == pytest.approx(expected_psnr(data))


def test_nothing_seen_is_an_error():
    with pytest.raises(NotComputableError, match="SubjectPSNR has seen no scan"):
        SubjectPSNR().compute()
