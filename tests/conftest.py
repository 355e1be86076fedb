"""Fixtures and settings of all tests."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import pytest
import torch
from forked_python import ForkedPython
from hypothesis import HealthCheck, settings
from tiny_scans import AFFINE, tiny_volume

from custom.handlers.mlflow_store import MLflowStore

ROOT = Path(__file__).resolve().parents[1]

# Derandomised, so that a failure is the same on every machine; no deadline, because a laptop may be busy.
settings.register_profile(
    "default", derandomize=True, deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("default")

# Tests run in parallel processes: one thread each.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with larger real scans that stands beside some checkouts; skips where it does not."""
    folder = Path(os.environ.get("MRI_SR_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the larger test data are not here; set MRI_SR_TEST_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def forked_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkedPython]:
    """Start processes without the seconds that they would import."""
    python = ForkedPython(tmp_path_factory.mktemp("processes"))
    yield python
    python.close()


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database with MLflow's tables: making them takes seconds, copying them nothing."""
    path = tmp_path_factory.mktemp("mlflow") / "mlruns.db"
    MLflowStore(f"sqlite:///{path}", "template").close()
    return path


@pytest.fixture(autouse=True)
def _no_tracking_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tracking server of the developer's own must not see the tests."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Five subjects and their manifest, as overrides of a command."""
    folder = tmp_path_factory.mktemp("data")
    subjects = [f"sub-{i}" for i in range(5)]
    for number, subject in enumerate(subjects):
        nib.save(nib.Nifti1Image(tiny_volume(number), AFFINE), folder / f"{subject}.nii.gz")
    manifest = json.loads((ROOT / "data_manifests" / "nifti_folder.json").read_text())
    manifest["name"] = "tiny"
    manifest["split"] = {"by": "list", "train": subjects[:2], "validation": subjects[2:3], "test": subjects[3:]}
    path = folder / "tiny.json"
    path.write_text(json.dumps(manifest))
    return {"dataset_dir": str(folder), "data_manifest": str(path)}
