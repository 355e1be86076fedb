"""A folder that fits the manifest of four subjects."""

from __future__ import annotations

from pathlib import Path

import pytest
from manifest_files import save_nifti


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    save_nifti(*(folder / f"{subject}.nii" for subject in "abcd"))
    return folder
