"""Affines that float64 holds, as in NIfTI-2, and no result could."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from custom.errors import InputError
from custom.scans import read_scan

CASES = {
    "lengths that overflow and underflow": ([[1, 0, 0], [0, -1.267e212, 1.78e-307], [0, 0, 0]], "or too large"),
    "one that is too long": ([[1, 0, 0], [0, 1e39, 0], [0, 0, 1]], "or too large"),
    "one that is too short": ([[1, 0, 0], [0, 1e-60, 0], [0, 0, 1]], "is singular"),
    "all of which are too short": (np.eye(3) * 1e-200, "is singular"),
}


@pytest.mark.parametrize("case", CASES)
def test_affines_that_float32_cannot_hold_are_refused(tmp_path: Path, case: str) -> None:
    columns, words = CASES[case]
    image = nib.Nifti2Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
    image.header["srow_x"][:3], image.header["srow_y"][:3], image.header["srow_z"][:3] = np.asarray(columns)
    image.header["sform_code"] = 1
    image.header["qform_code"] = 0
    path = tmp_path / "a.nii"
    with path.open("wb") as stream:
        stream.write(image.header.binaryblock + bytes(4))
        stream.write(image.get_fdata().astype(np.int16).tobytes(order="F"))
    with pytest.raises(InputError, match=words):
        read_scan(path)


@pytest.mark.parametrize("spacing", [1e-6, 1e12])
def test_small_and_large_voxels_are_read(tmp_path: Path, spacing: float) -> None:
    """A micrometre's, and a unit that is wrong: odd, but with a volume."""
    affine = np.diag([spacing, spacing, spacing, 1.0])
    nib.save(nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), affine), tmp_path / "a.nii")
    np.testing.assert_allclose(read_scan(tmp_path / "a.nii").affine.numpy(), affine, rtol=1e-6)
