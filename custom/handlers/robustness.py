"""What `run evaluating` with `configs/robustness.json` makes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from custom.degradations import Degradation, SeparableDegradation
from custom.errors import UsageError
from custom.evaluation.conditions import trial_conditions
from custom.evaluation.models import AppliedModel, load_applied_models
from custom.evaluation.no_truth import no_truth_rows, write_no_truth
from custom.evaluation.robustness import cells_of, robustness_metrics, robustness_rows, write_robustness
from custom.evaluation.wiener import load_wiener
from custom.handlers.mlflow_run import MLflowRun
from custom.manifests import Manifest
from custom.options import switch
from custom.run import Run
from custom.run_info import write_config
from custom.scans import check_output_dir
from custom.storage import sha256

__all__ = ["robustness_report"]

#: The name of the evaluated network among the methods.
_MODEL = "model"
_CONFIG = "robustness_config.json"


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
    run: Run,
    tracking: MLflowRun,
    others: Mapping[str, Sequence[str | Mapping[str, Any]]] | None = None,
    noise_levels: Sequence[float] = (0.0, 0.01, 0.03),
    every: int = 16,
    neighbours: int = 0,
    seed: int = 0,
    device: torch.device | str = "cpu",
    overwrite: bool | str = False,
) -> None:
    """Try a network on scans that were measured in many ways, on phantoms, and on scans at their own resolution.

    Writes robustness.csv, .json, .md and .png, no_truth.csv, .md and .png, and the config of the run as
    robustness_config.json. The MLflow run receives these files and the figures of the models.

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
        run: the run of the command.
        tracking: the MLflow run.
        others: further models by name; see `load_applied_models`.
        noise_levels: standard deviations, data range 1.
        every: each n-th slice, frame and scan of a subject counts; see `robustness_rows`.
        neighbours: how many slices on each side of a counted one the models see.
        seed: of phase and noise.
        device: of the networks.
        overwrite: whether existing files are replaced.

    Raises:
        InputError: if the folder holds such files already, or cannot be written to.
        UsageError: under several processes.
    """
    if switch("distributed", run.distributed) or int(os.environ.get("WORLD_SIZE", "1")) > 1:  # set by torchrun
        raise UsageError("configs/robustness.json runs in one process; leave out torchrun and multi_gpu_evaluate.json")
    check_output_dir(output_dir, overwrite, ["robustness.csv"])
    models = {_MODEL: AppliedModel(network, inferer, device), **load_applied_models(others or {}, bundle_root, device)}
    is_cine = manifest.content["kind"] == "cine"
    origin = {
        "manifest": {"name": manifest.name, "digest": manifest.digest},
        "weights_sha256": sha256(weights),
        "every": every,
        "seed": seed,
    }
    tracking.log_at_end(["robustness.*", "no_truth.*", _CONFIG], weights=[weights])
    with tracking.active():
        write_config(run.config, output_dir, _CONFIG)
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
        write_robustness(rows, list(models), output_dir, origin)
        tracking.log_metrics(robustness_metrics(cells_of(rows, list(models)), list(models)), prefix="robustness/")
        native = no_truth_rows(scans, scan_degradation, models, neighbours=neighbours, cine=is_cine, seed=seed)
        write_no_truth(*native, output_dir, centre=is_cine)
