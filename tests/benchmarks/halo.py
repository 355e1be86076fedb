"""How far tiles are from the whole image with each halo: which halo is enough for the weights of a bundle.

    python tests/benchmarks/halo.py BUNDLE [OVERLAY ...] --scans SCAN [SCAN ...] [--tile_size 16] [--region 64]

Takes the bundle's own weights and the inferer of `inference.json`, in float32. Each scan is degraded by the bundle's
degradation. Of each halo, up to the receptive radius, a table has the worst and the root mean squared difference from
the result without tiles, in parts of the range of the input, and says which is the smallest halo that stays below
`--limit` everywhere. `--region 64` takes the 64 voxels in the middle of each axis of what the network sees.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from consistency_limit import middle
from monai.bundle import ConfigParser
from monai.inferers import Inferer
from torch import Tensor

from custom.arrays import intensity_scale
from custom.inferers import Tiles, receptive_radius
from custom.scans import read_scan

BUNDLES = Path(__file__).resolve().parents[2] / "bundles"


@torch.no_grad()
def main() -> None:
    """Measure and print a row for each halo."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("bundle")
    arguments.add_argument("overlays", nargs="*")
    arguments.add_argument("--scans", nargs="+", required=True)
    arguments.add_argument("--halos", type=int, nargs="+", help="by default 0, 1, 2, 4, 6, 8, ... and the radius")
    arguments.add_argument("--tile_size", type=int, default=16)
    arguments.add_argument("--region", type=int)
    arguments.add_argument("--limit", type=float, default=1e-3)
    options = arguments.parse_args()

    folder = BUNDLES / options.bundle
    parser = ConfigParser()
    parser.read_config([str(folder / "configs" / f"{name}.json") for name in ("inference", *options.overlays)])
    parser.update({"bundle_root": str(folder), "amp": False, "device": "cpu", "tile_size": None})
    network, inferer, degradation = (
        parser.get_parsed_content(key) for key in ("network", "inferer", "scan_degradation")
    )
    network.eval()
    tiles = tiles_in(inferer)
    weight = next(weight for weight in network.parameters() if weight.ndim > 3)
    radius = max(receptive_radius(network, weight.ndim - 2, weight.shape[1]))
    halos = options.halos or [halo for halo in (0, 1, *range(2, radius, 2)) if halo < radius] + [radius]

    worst, squares, count = dict.fromkeys(halos, 0.0), dict.fromkeys(halos, 0.0), 0
    for path in options.scans:
        image = degradation(read_scan(path).as_subclass(Tensor)[None])
        image = middle(image, options.region) if options.region else image
        image = image / intensity_scale(image)
        tiles.tile_size = None
        whole = inferer(image, network)
        count += whole.numel()
        extent = float(image.max() - image.min())
        tiles.tile_size = options.tile_size
        for halo in halos:
            tiles.halo = halo
            difference = (inferer(image, network) - whole) / extent
            worst[halo] = max(worst[halo], float(difference.abs().max()))
            squares[halo] += float(difference.double().square().sum())
    print(f"receptive radius {radius}, tiles of {options.tile_size}, {len(options.scans)} scans\n")
    print("| halo | worst | RMS |\n| --- | --- | --- |")
    for halo in halos:
        print(f"| {halo} | {worst[halo]:.2g} | {math.sqrt(squares[halo] / count):.2g} |")
    enough = [halo for halo in halos if all(worst[more] < options.limit for more in halos if more >= halo)]
    print(f"\nsmallest halo that stays below {options.limit:g}: {min(enough, default='none of these')}")


def tiles_in(inferer: Inferer) -> Tiles:
    """Find the tiles in a chain of inferers."""
    while not isinstance(inferer, Tiles):
        inferer = inferer.inferer  # type: ignore[attr-defined]
    return inferer


if __name__ == "__main__":
    main()
