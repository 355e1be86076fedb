"""Tiny data sets, and bundle commands run inside the test process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigWorkflow

BUNDLES = Path(__file__).resolve().parents[2] / "bundles"


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
