"""Run as a script, this file is one of two processes that evaluate together."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from forked_python import ForkedPython
from monai.data import DataLoader, Dataset, DistributedSampler, MetaTensor
from monai.engines import SupervisedEvaluator

from custom.degradations import AreaMean
from custom.handlers.comparison import ComparisonTable
from custom.handlers.subject_metrics import SubjectPSNR, SubjectSSIM


class Cubic(torch.nn.Module):
    def forward(self, image):
        return AreaMean(2, spatial_dims=2).upsample(image, "cubic") + 0.02


def evaluate(folder: Path, sampler: bool) -> dict[str, float]:
    """Five pictures of four subjects; two ranks share them so that one comes twice."""
    generator = torch.Generator().manual_seed(0)
    data = []
    for i, subject in enumerate(("a", "a", "b", "c", "d")):
        label = torch.rand((1, 16, 16), generator=generator) * (i + 1) / 5
        image = AreaMean(2, spatial_dims=2)(label[None])[0]
        data.append({
            "image": image,
            "label": MetaTensor(label, meta={"filename_or_obj": f"{i}.png"}),
            "subject": subject,
        })  # fmt: skip
    dataset = Dataset(data)
    shared = DistributedSampler(dataset, shuffle=False, even_divisible=True) if sampler else None
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(dataset, batch_size=1, sampler=shared),
        network=Cubic(),
        key_val_metric={"val_psnr": SubjectPSNR()},
        additional_metrics={"val_ssim": SubjectSSIM(AreaMean(2, spatial_dims=2))},
        val_handlers=[ComparisonTable(folder, AreaMean(2, spatial_dims=2), pictures=False)],
    )
    evaluator.run()
    return {k: v for k, v in evaluator.state.metrics.items() if "seconds" not in k}


def rows_in(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


@pytest.mark.slow
def test_two_processes_give_the_figures_of_one(forked_python: ForkedPython, tmp_path: Path) -> None:
    alone = evaluate(tmp_path / "alone", sampler=False)
    ranks = forked_python.run_ranks(2, __file__, str(tmp_path))
    assert [rank.returncode for rank in ranks] == [0, 0], ranks[0].stderr
    assert alone["val_psnr"] == pytest.approx(alone["model_psnr"])
    assert alone["val_ssim"] == pytest.approx(alone["model_ssim"])
    for rank in range(2):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == pytest.approx(alone)
    # Rank 0 alone has written, and all subjects.
    assert not (tmp_path / "rank1").exists()
    assert rows_in(tmp_path / "rank0") == rows_in(tmp_path / "alone")
    assert [row["subject"] for row in rows_in(tmp_path / "rank0")][::6] == ["a", "b", "c", "d"]


def _main(folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    try:
        rank = dist.get_rank()
        metrics = evaluate(folder / f"rank{rank}", sampler=True)
        (folder / f"{rank}.json").write_text(json.dumps(metrics))
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
