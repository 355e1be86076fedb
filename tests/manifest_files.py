"""A manifest of four subjects, and small files in the layouts that manifests describe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import nibabel as nib
import numpy as np
from PIL import Image

from custom.manifests.manifest import Manifest
from custom.manifests.splits import SPLITS

__all__ = ["GOOD", "save_hdf5", "save_manifest", "save_nifti", "save_pictures", "splits_of_subjects"]

GOOD: dict[str, Any] = {
    "name": "mine",
    "licence": "mine",
    "citation": "none",
    "how_to_get": {"url": "", "words": "It is mine."},
    "modality": "MRI",
    "kind": "volume",
    "patterns": ["{subject}.nii"],
    "split": {"by": "list", "train": ["a", "b"], "validation": ["c"], "test": ["d"]},
}


def save_nifti(*paths: Path) -> None:
    """Write a scan of 2 x 3 x 4 voxels to each path; folders are made."""
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(array, np.eye(4)), path)


def save_hdf5(*paths: Path, **datasets: Any) -> None:
    """Write the same datasets, by their names, to each path; folders are made."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            for name, array in datasets.items():
                file[name] = array


def save_pictures(*paths: Path) -> None:
    """Write a picture of 8 x 8 pixels to each path, as its ending says; folders are made."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path)


def save_manifest(folder: Path, content: dict[str, Any]) -> Path:
    """Write a manifest, as `mine.json`."""
    path = folder / "mine.json"
    path.write_text(json.dumps(content))
    return path


def splits_of_subjects(manifest: Manifest) -> dict[str, set[str]]:
    """Return each subject, and the splits that its files are in."""
    owners: dict[str, set[str]] = {}
    for name in SPLITS:
        for item in manifest.items(name):
            owners.setdefault(item["subject"], set()).add(name)
    return owners
