"""An evaluator that compares methods on cines."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch
from monai.data import Dataset, MetaTensor
from torch.utils.data import DataLoader

from custom.degradations import UPSAMPLING_METHODS, AreaMean, SliceBySlice
from custom.engines import ScanEvaluator
from custom.handlers.comparison import ComparisonTable
from custom.scans import ScanHeader, ScanReference

__all__ = ["METHODS", "Scaled", "evaluate", "rows_in"]

PICTURE = ScanHeader(source=ScanReference(Path("a.png"), "picture", "a", Path()))
METHODS = (*UPSAMPLING_METHODS, "model", "truth")
HALF = SliceBySlice(AreaMean(2, spatial_dims=2))


class Scaled(torch.nn.Module):
    """Stands for a network: cubic of every frame, brighter by a part."""

    def __init__(self, factor=1.0, degradation=HALF):
        super().__init__()
        self.factor = factor
        self.degradation = degradation

    def forward(self, image):
        return self.factor * self.degradation.upsample(image, "cubic")


def evaluate(folder, handlers, scans, network=None, networks=None, degradation=HALF):
    """Run an evaluator that compares over items {"label", "subject", ...}; inputs are made as at evaluation."""
    data = []
    for i, scan in enumerate(scans):
        label = scan["label"]
        image = degradation(label[None])[0]
        meta = {"filename_or_obj": f"{i}.nii", "header": ScanHeader() if label.ndim == 4 else PICTURE}
        label = MetaTensor(label, affine=np.diag([1.5, 2.0, 8.0, 1.0]), meta=meta)
        data.append({**scan, "image": image, "label": label})
    comparison = ComparisonTable(folder, degradation, pictures=False, networks=networks)
    evaluator = ScanEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(data), batch_size=None),
        network=network or Scaled(degradation=degradation),
        val_handlers=[comparison, *handlers],
    )
    evaluator.run()
    return evaluator.state.metrics


def rows_in(folder):
    """Read cine.csv."""
    with (folder / "cine.csv").open(newline="") as file:
        return list(csv.DictReader(file))
