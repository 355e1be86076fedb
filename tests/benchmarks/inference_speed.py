"""Inference of a whole volume against the bare forward passes of its slices, side by side.

    python tests/benchmarks/inference_speed.py [--shape 256 256 180] [--repeats 3]

The bare passes are those of the shipped network, slice by slice under no_grad, in the faster of float32 and bfloat16.
Against them stand the inferer of `inference.json` alone, and all that the command does between reading and writing:
intensity scale, network, units, affine; both, as in the command, with freed memory kept. Ratios of one run are to be
taken, not seconds.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor

from custom.memory import keep_freed_memory

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "brain_mri_espcn"


def _seconds(task: Callable[[], object], repeats: int) -> float:
    task()
    times = []
    for _ in range(repeats):
        start = perf_counter()
        task()
        times.append(perf_counter() - start)
    return statistics.median(times)


@torch.no_grad()
def main() -> None:
    """Measure and print a table of ratios."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--shape", type=int, nargs=3, default=[256, 256, 180])
    arguments.add_argument("--repeats", type=int, default=3)
    options = arguments.parse_args()

    parser = ConfigParser()
    parser.read_config(str(BUNDLE / "configs" / "inference.json"))
    parser["bundle_root"] = str(BUNDLE)
    parser["inferer#inferer#progress"] = False
    network = parser.get_parsed_content("network").eval()
    inferer = parser.get_parsed_content("inferer")
    scale, restore, place = (
        parser.get_parsed_content(key)
        for key in (
            "preprocessing#transforms#1",
            "postprocessing#transforms#0",
            "postprocessing#transforms#1",
        )
    )
    volume = MetaTensor(1000 * torch.rand(1, *options.shape), affine=torch.eye(4))
    slices = volume.as_tensor().div(1000).movedim(-1, 0).contiguous()

    def whole() -> None:
        item = scale({"image": volume})
        item["pred"] = inferer(item["image"][None], network)[0]
        place(restore(item))

    def bare(images: torch.Tensor, bfloat16: bool) -> Callable[[], object]:
        def task() -> None:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
                for image in images:
                    network(image[None])

        return task

    bfloat16 = _seconds(bare(slices[:2], True), 1) < _seconds(bare(slices[:2], False), 1)
    reference = _seconds(bare(slices, bfloat16), options.repeats)
    keep_freed_memory()
    rows = [
        (f"bare passes, {'bfloat16' if bfloat16 else 'float32'}", reference),
        ("inferer", _seconds(lambda: inferer(volume[None], network), options.repeats)),
        ("reading to writing", _seconds(whole, options.repeats)),
    ]
    print(f"volume {options.shape}, {torch.get_num_threads()} threads, median of {options.repeats}\n")
    print("| what | seconds | ratio |\n| --- | --- | --- |")
    for name, seconds in rows:
        print(f"| {name} | {seconds:.2f} | {seconds / reference:.3f} |")


if __name__ == "__main__":
    main()
