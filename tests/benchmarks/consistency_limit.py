"""How far honest results are from their inputs: the limits under `consistency_limit` in a bundle's metadata.json.

    python tests/benchmarks/consistency_limit.py BUNDLE --dataset_dir D --data_manifest M --write

Takes the validation subjects, and of each model the bundle's own weights and the inferer of its configs, in float32.
Each scan is enlarged once degraded by the bundle's degradation and once as it is, both without noise and with Rician
noise of 1, 3 and 5 % of the intensity scale. A table has `custom.metrics.largest_inconsistency` of each, the largest of
all scans. The limit is twice the largest of the table.

`--write` puts the limits into metadata.json. `--models model` measures these models alone, and leaves the limits of the
others as they are. For models that take long, `--scans 1` takes about one scan of each subject, and `--region 64` the
64 x 64 voxels (64 x 64 x 64 of a volume) in the middle of what the network sees.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path

import torch
from monai.bundle import ConfigParser
from torch import Tensor

from custom.arrays import intensity_scale
from custom.manifests import load_manifest
from custom.metrics import largest_inconsistency
from custom.scans import read_scan

BUNDLES = Path(__file__).resolve().parents[2] / "bundles"
NOISE = (0.0, 0.01, 0.03, 0.05)


def main() -> None:
    """Measure the models one after the other, print their tables, and write their limits if that is asked for."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("bundle")
    arguments.add_argument("--dataset_dir", required=True)
    arguments.add_argument("--data_manifest", required=True)
    arguments.add_argument("--models", nargs="+", metavar="MODEL")
    arguments.add_argument("--scans", type=int)
    arguments.add_argument("--region", type=int)
    arguments.add_argument("--write", action="store_true")
    options = arguments.parse_args()

    subjects: dict[str, list[str]] = {}
    for item in load_manifest(options.data_manifest, options.dataset_dir).items("validation"):
        subjects.setdefault(item["subject"], []).append(item["label"])
    paths = [
        path
        for found in subjects.values()
        for path in found[:: max(1, len(found) // options.scans) if options.scans else 1]
    ]
    folder = BUNDLES / options.bundle
    for parser in configs_of_models(folder):
        name = parser["model_name"]
        if options.models and name not in options.models:
            continue
        largest = measure(parser, paths, options.region)
        print(f"| {name} | {' | '.join(f'{noise:.0%} noise' for noise in NOISE)} |")
        print(f"| --- |{' --- |' * len(NOISE)}")
        for kind in ("degraded", "as it is"):
            print(f"| {kind} | {' | '.join(f'{largest[kind, noise]:.3f}' for noise in NOISE)} |")
        limit = float(f"{2 * max(largest.values()):.2g}")
        print(f"limit: {limit}\n", flush=True)
        if options.write:
            write_limit(folder / "configs" / "metadata.json", name, limit)


def configs_of_models(folder: Path) -> Iterator[ConfigParser]:
    """Read the config of inference, alone and with each overlay that names another model."""
    configs = folder / "configs"
    base = configs / "inference.json"
    overlays = [
        path
        for path in sorted(configs.glob("*.json"))
        if "model_name" in (keys := json.loads(path.read_text())) and "bundle_root" not in keys
    ]
    for files in ([base], *([base, overlay] for overlay in overlays)):
        parser = ConfigParser()
        parser.read_config([str(path) for path in files])
        parser.update({"bundle_root": str(folder), "amp": False, "device": "cpu"})
        yield parser


@torch.no_grad()
def measure(parser: ConfigParser, paths: list[str], region: int | None) -> dict[tuple[str, float], float]:
    """Return the largest inconsistency of a model by what its input is and its noise."""
    network, inferer, degradation = (
        parser.get_parsed_content(key) for key in ("network", "inferer", "scan_degradation")
    )
    network.eval()
    generator = torch.Generator().manual_seed(0)
    largest: dict[tuple[str, float], float] = {}
    for path in paths:
        scan = read_scan(path).as_subclass(Tensor)[None]
        for kind, image in (("degraded", degradation(scan)), ("as it is", scan)):
            image = middle(image, region) if region else image
            scale = intensity_scale(image)
            for noise in NOISE:
                noisy = with_noise(image / scale, noise, generator) if noise else image / scale
                lr = noisy / intensity_scale(noisy)
                found = largest_inconsistency(inferer(lr, network), lr, degradation)
                largest[kind, noise] = max(found, largest.get((kind, noise), 0.0))
    return largest


def middle(image: Tensor, size: int) -> Tensor:
    """Cut the middle out of `(B, C, *spatial)`, at most so many voxels along each axis."""
    return image[(..., *(slice(max(0, (n - size) // 2), (n + size) // 2) for n in image.shape[2:]))]


def with_noise(image: Tensor, sd: float, generator: torch.Generator) -> Tensor:
    """Add complex Gaussian noise to a magnitude image and take the magnitude."""
    real, imaginary = (sd * torch.randn(image.shape, generator=generator) for _ in range(2))
    return torch.hypot(image + real, imaginary)


def write_limit(metadata: Path, name: str, limit: float) -> None:
    """Change the limit of one model in the metadata, and no other letter."""
    text = metadata.read_text("utf-8")
    limits = json.loads(text)["consistency_limit"]["limits"] | {name: limit}
    changed = re.sub(r'("limits": )\{[^}]*\}', lambda found: found[1] + json.dumps(limits), text, count=1)
    metadata.write_text(changed, "utf-8")


if __name__ == "__main__":
    main()
