"""The table of the bundles whose commands are tested, and what the tests of commands share."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow

from custom.errors import input_error_in
from custom.weights import read_checkpoint

__all__ = ["BUNDLES", "CASES", "BundleCase", "Command", "refusal", "same_weights", "table", "weights"]

BUNDLES = Path(__file__).resolve().parents[1] / "bundles"

#: Runs a command: `command(id, *names of configs, **keys)`.
Command = Callable[..., ConfigWorkflow]


@dataclass(frozen=True)
class BundleCase:
    """How to run a bundle's commands in seconds.

    Attributes:
        name: of its folder.
        dataset: the fixture with `dataset_dir` and `data_manifest`; three subjects "sub-2" to "sub-4" are not trained
            on, the last two are the test split.
        short: keys for a training of two epochs of two steps.
        scale: by which each array axis of a scan grows.
        of_volumes: whether the network takes volumes, and no pictures.
        overlays: of training, each of which is tried too.
    """

    name: str
    dataset: str = "tiny_dataset"
    short: Mapping[str, Any] = field(
        default_factory=lambda: {
            "max_epochs": 2,
            "patches_per_epoch": 8,
            "batch_size": 4,
            "patch_size": [24, 24],
            "family#pool": 8,
        }
    )
    scale: tuple[int, int, int] = (4, 4, 1)
    of_volumes: bool = False
    overlays: tuple[str, ...] = ()


PARTIAL = "partial_fourier"

#: A bundle whose line is here has its commands tested.
CASES = [
    BundleCase("brain_mri_espcn", overlays=("context", "nominal", "nominal_context", "as_published", "ssim", PARTIAL)),
    BundleCase("cardiac_mri_srresnet", overlays=("nominal", PARTIAL, *(f"model_{i}" for i in range(1, 6)))),
]


def weights(path: Path) -> dict[str, Any]:
    """Read a network's state dict, alone or in a checkpoint of a training."""
    content = read_checkpoint(path)
    return content["networks"]["network"] if "networks" in content else content


def same_weights(one: Path, two: Path) -> bool:
    """Compare bit for bit."""
    first, second = weights(one), weights(two)
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def table(path: Path) -> list[dict[str, str]]:
    """Read a csv with a heading."""
    return list(csv.DictReader(path.read_text().splitlines()))


def refusal(exit_code: int, command: Command, *arguments: Any, **keys: Any) -> str:
    """Run a command that must fail with one clear error and this exit code; return its words."""
    with pytest.raises(Exception) as caught:  # noqa: PT011
        command(*arguments, **keys)
    error = input_error_in(caught.value)
    assert error is not None, f"not an error in words: {caught.value!r}"
    assert error.exit_code == exit_code, f"exit code {error.exit_code} for: {error}"
    return str(error)
