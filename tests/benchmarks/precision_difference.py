"""How far results in bfloat16 are from those in float32: the largest and the RMS difference, and what PSNR loses.

    python tests/benchmarks/precision_difference.py BUNDLE [OVERLAY ...] --dataset_dir D --data_manifest M

Takes the test split of a data set, the bundle's own weights and the inferer of its configs; differences are in units of
the intensity scale. Where a processor has no instructions for bfloat16 they are emulated, with the same result, slowly:
`--every 5` takes each fifth scan, `--slab 0.45 0.55` the slices in the middle of volumes.
"""

from __future__ import annotations

import argparse
import math
import statistics
from pathlib import Path

import torch
from monai.bundle import ConfigParser

from custom.metrics import psnr

BUNDLES = Path(__file__).resolve().parents[2] / "bundles"


@torch.no_grad()
def main() -> None:
    """Measure and print a row of a table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("bundle")
    arguments.add_argument("overlays", nargs="*")
    arguments.add_argument("--dataset_dir", required=True)
    arguments.add_argument("--data_manifest", required=True)
    arguments.add_argument("--every", type=int, default=1)
    arguments.add_argument("--slab", type=float, nargs=2)
    options = arguments.parse_args()

    folder = BUNDLES / options.bundle
    parser = ConfigParser()
    parser.read_config([str(folder / "configs" / f"{n}.json") for n in ("train", "evaluate", *options.overlays)])
    checkpoint = str(folder / "models" / f"{parser['model_name']}.pt")
    for key in ("dataset_dir", "data_manifest"):
        parser[key] = getattr(options, key)
    parser.update({"bundle_root": str(folder), "checkpoint": checkpoint, "device": "cpu"})
    manifest, load, make_pair, inferer, run = (
        parser.get_parsed_content(key)
        for key in ("manifest", "validate::preprocessing", "validate::evaluator::prepare_batch", "inferer", "run_state")
    )
    network = parser.get_parsed_content("network").eval()

    squares, count, largest, figures = 0.0, 0, 0.0, []
    for item in manifest.items("test")[:: options.every]:
        if options.slab:
            item["slab"] = {"axis": 2, "start": options.slab[0], "stop": options.slab[1]}
        image, target = make_pair({"label": load(item)["label"][None]}, torch.device("cpu"))
        results = []
        for name in ("float32", "bfloat16"):
            run.precision.name = name
            results.append(inferer(image, network)[(..., *(slice(n) for n in target.shape[2:]))])
        difference = (results[1] - results[0]).double()
        squares, count = squares + float(difference.square().sum()), count + difference.numel()
        largest = max(largest, float(difference.abs().max()))
        figures.append([psnr(result, target) for result in results])
    means = [statistics.fmean(column) for column in zip(*figures, strict=True)]
    print("| scans | largest | RMS | PSNR, float32 (dB) | PSNR, bfloat16 (dB) | difference (dB), worst |")
    print("| --- | --- | --- | --- | --- | --- |")
    print(
        f"| {len(figures)} | {largest:.4f} | {math.sqrt(squares / count):.5f} | {means[0]:.3f} | {means[1]:.3f} | "
        f"{means[1] - means[0]:+.3f}, {min(b - a for a, b in figures):+.3f} |"
    )


if __name__ == "__main__":
    main()
