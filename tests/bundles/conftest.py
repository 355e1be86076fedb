"""Tiny data sets, and bundle commands run inside the test process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import pytest
from monai.bundle import ConfigWorkflow
from tiny_scans import AFFINE, tiny_volume

BUNDLES = Path(__file__).resolve().parents[2] / "bundles"


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Five subjects and their manifest, as overrides of a command."""
    folder = tmp_path_factory.mktemp("data")
    subjects = [f"sub-{i}" for i in range(5)]
    for number, subject in enumerate(subjects):
        nib.save(nib.Nifti1Image(tiny_volume(number), AFFINE), folder / f"{subject}.nii.gz")
    manifest = json.loads((BUNDLES.parent / "data_manifests" / "nifti_folder.json").read_text())
    manifest["name"] = "tiny"
    manifest["split"] = {"by": "list", "train": subjects[:2], "validation": subjects[2:3], "test": subjects[3:]}
    path = folder / "tiny.json"
    path.write_text(json.dumps(manifest))
    return {"dataset_dir": str(folder), "data_manifest": str(path)}


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One store for all commands of a test process: making one takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlruns.db"


@pytest.fixture
def run_bundle(tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ConfigWorkflow]]:
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
            device="cpu",
            amp=False,
            **override,
        )
        workflow.initialize()
        workflow.run()
        workflow.finalize()
        return workflow

    return run
