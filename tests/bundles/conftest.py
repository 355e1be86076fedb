"""Tiny data sets, and bundle commands run inside the test process."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import pytest
import safetensors.torch
import torch
from bundle_cases import BUNDLES, CASES, BundleCase, Command
from monai.bundle import ConfigWorkflow
from tiny_scans import AFFINE, tiny_volume

from custom.networks import VGG
from custom.weights.vgg import vgg_variable


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> str:
    """One store for all commands of a test process."""
    return f"sqlite:///{shutil.copy(mlflow_database, tmp_path_factory.mktemp('mlflow'))}"


@pytest.fixture(scope="session")
def vgg_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a VGG16 that was never trained, as far as the configs use it."""
    path = tmp_path_factory.mktemp("vgg") / "vgg16.safetensors"
    torch.manual_seed(0)
    safetensors.torch.save_file(VGG("vgg16", ["block2_conv2"]).state_dict(), path)
    return path


@pytest.fixture(autouse=True)
def _vgg_weights(vgg_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Perceptual losses need no download."""
    monkeypatch.setenv(vgg_variable("vgg16"), str(vgg_file))


@pytest.fixture
def run_bundle(tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """Run `python -m monai.bundle run ID --config_file FILES --KEY VALUE ...` without a process of its own."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def run(bundle: str, run_id: str, *names: str, **override: Any) -> ConfigWorkflow:
        if run_id != "inference":
            override.setdefault("tracking_uri", tracking_uri)
        workflow = ConfigWorkflow(
            [str(BUNDLES / bundle / "configs" / f"{name}.json") for name in names],
            workflow_type="train" if run_id == "training" else "infer",
            run_id=run_id,
            logging_file=False,  # type: ignore[arg-type]
            bundle_root=str(BUNDLES / bundle),
            **{"device": "cpu", "amp": False, **override},
        )
        workflow.initialize()
        workflow.run()
        workflow.finalize()
        return workflow

    return run


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> BundleCase:
    """Each bundle of the table."""
    found: BundleCase = request.param
    return found


@pytest.fixture
def command(case: BundleCase, run_bundle: Command) -> Command:
    """Run a command of the bundle: `command("training", "train", seed=2)`."""
    return partial(run_bundle, case.name)


@pytest.fixture
def dataset(case: BundleCase, request: pytest.FixtureRequest) -> dict[str, str]:
    """The bundle's tiny data set, as keys of a command."""
    found: dict[str, str] = request.getfixturevalue(case.dataset)
    return found


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the output of one training of each bundle."""
    return tmp_path_factory.mktemp("trained")


@pytest.fixture
def trained(command: Command, dataset: dict[str, str], case: BundleCase, trained_once: Path, tmp_path: Path) -> Path:
    """The output folder of a short training: a copy that the test may change."""
    if not (trained_once / case.name).exists():
        command("training", "train", output_dir=str(trained_once / case.name), **dataset, **case.short)
    return Path(shutil.copytree(trained_once / case.name, tmp_path / "out"))


@pytest.fixture(scope="session")
def evaluated_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the output of one evaluation of each bundle."""
    return tmp_path_factory.mktemp("evaluated")


@pytest.fixture
def evaluated(
    command: Command, dataset: dict[str, str], case: BundleCase, trained: Path, evaluated_once: Path, tmp_path: Path
) -> Path:
    """The output folder of `trained` with its evaluation: a copy that the test may change."""
    if not (evaluated_once / case.name).exists():
        out = shutil.copytree(trained, evaluated_once / case.name)
        command("evaluating", "train", "evaluate", output_dir=str(out), **dataset)
    return Path(shutil.copytree(evaluated_once / case.name, tmp_path / "evaluated"))


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """A scan of size (34, 41, 5), alone in its folder."""
    path = tmp_path / "in" / "scan.nii.gz"
    path.parent.mkdir()
    nib.save(nib.Nifti1Image(tiny_volume(9), AFFINE), path)
    return path
