"""Affine, metadata and scan header of a tensor that may or may not carry them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from custom.arrays.geometry import affine_array
from custom.scans.scan import ScanHeader

__all__ = ["affine_of", "header_of", "meta_of", "name_of", "with_affine", "without_meta"]

# They describe the array in the file and not the one at hand, and MONAI's writers would rely on them.
_STALE = ("affine", "original_affine", "spatial_shape")


def affine_of(tensor: torch.Tensor) -> np.ndarray:
    """Return the 4x4 float64 affine of a tensor; the identity if it carries none."""
    if not isinstance(tensor, MetaTensor):
        return np.eye(4)
    return affine_array(tensor.affine)


def meta_of(tensor: torch.Tensor) -> dict[str, Any]:
    """Return the metadata of a tensor without the entries that only held for the array in the file."""
    if not isinstance(tensor, MetaTensor):
        return {}
    return {key: value for key, value in tensor.meta.items() if key not in _STALE}


def name_of(tensor: torch.Tensor) -> str:
    """Return the file that a tensor was read from, or "" if that is not known."""
    return str(meta_of(tensor).get("filename_or_obj", ""))


def header_of(tensor: torch.Tensor) -> ScanHeader:
    """Return the header of the scan that a tensor was read from; that of an array without a file if it has none."""
    header = meta_of(tensor).get("header")
    return header if isinstance(header, ScanHeader) else ScanHeader()


def without_meta(tensor: torch.Tensor) -> torch.Tensor:
    """Return a plain tensor of the same values."""
    return tensor.as_tensor() if isinstance(tensor, MetaTensor) else tensor


def with_affine(tensor: torch.Tensor, affine: np.ndarray, meta: dict[str, Any]) -> MetaTensor:
    """Give a tensor an affine and metadata; its recorded operations are dropped, since they belong to another grid."""
    kept = {key: value for key, value in meta.items() if key not in _STALE}
    return MetaTensor(without_meta(tensor), affine=torch.from_numpy(np.asarray(affine, dtype=np.float64)), meta=kept)
