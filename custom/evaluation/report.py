"""What `run evaluating` with `configs/robustness.json` makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from custom.degradations import Degradation, SeparableDegradation
from custom.evaluation.conditions import trial_conditions
from custom.evaluation.models import AppliedModel, load_applied_models
from custom.evaluation.no_truth import no_truth_rows, write_no_truth
from custom.evaluation.robustness import robustness_rows, write_robustness
from custom.evaluation.wiener import load_wiener
from custom.manifests import Manifest
from custom.scans import check_output_dir
from custom.storage import sha256

__all__ = ["robustness_report"]

#: The name of the evaluated network among the methods.
_MODEL = "model"


def robustness_report(
    output_dir: str | Path,
    bundle_root: str | Path,
    scans: Iterable[Mapping[str, Any]],
    scan_degradation: Degradation,
    degradation: SeparableDegradation,
    network: nn.Module,
    inferer: Callable[..., Tensor],
    weights: str | Path,
    manifest: Manifest,
    others: Mapping[str, Sequence[str | Mapping[str, Any]]] | None = None,
    noise_levels: Sequence[float] = (0.0, 0.01, 0.03),
    every: int = 16,
    neighbours: int = 0,
    seed: int = 0,
    device: torch.device | str = "cpu",
    overwrite: bool | str = False,
) -> None:
    """Try a network on scans that were measured in many ways, on phantoms, and on scans at their own resolution.

    Writes robustness.csv, .json, .md and .png, and no_truth.csv, .md and .png.

    Args:
        output_dir: where the files go.
        bundle_root: the bundle's folder.
        scans: of the test subjects, {"subject", "label"}.
        scan_degradation: the bundle's own, of scans.
        degradation: the same of single images.
        network: the evaluated one, the method "model".
        inferer: applies it.
        weights: its file, whose digest is written down.
        manifest: names the data.
        others: further models by name; see `load_applied_models`.
        noise_levels: standard deviations, data range 1.
        every: each n-th slice, frame and scan of a subject counts; see `robustness_rows`.
        neighbours: how many slices on each side of a counted one the models see.
        seed: of phase and noise.
        device: of the networks.
        overwrite: whether existing files are replaced.

    Raises:
        InputError: if the folder holds such files already, or cannot be written to.
    """
    check_output_dir(output_dir, overwrite, ["robustness.csv"])
    models = {_MODEL: AppliedModel(network, inferer, device), **load_applied_models(others or {}, bundle_root, device)}
    rows = robustness_rows(
        scans,
        trial_conditions(degradation, noise_levels),
        scan_degradation,
        models,
        partial(load_wiener, output_dir, bundle_root, degradation),
        every=every,
        neighbours=neighbours,
        seed=seed,
    )
    origin = {
        "manifest": {"name": manifest.name, "digest": manifest.digest},
        "weights_sha256": sha256(weights),
        "every": every,
        "seed": seed,
    }
    write_robustness(rows, list(models), output_dir, origin)
    is_cine = manifest.content["kind"] == "cine"
    native = no_truth_rows(scans, scan_degradation, models, neighbours=neighbours, cine=is_cine, seed=seed)
    write_no_truth(*native, output_dir, centre=is_cine)
