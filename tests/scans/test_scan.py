"""Checks that every scan passes."""

from __future__ import annotations

import numpy as np
import pytest

from custom.errors import InputError
from custom.scans.scan import check_affine

# Float64 holds these columns, as NIfTI-2 does, and float32, as results are written, does not.
BEYOND_FLOAT32 = {
    "lengths that overflow and underflow": ([[1, 0, 0], [0, -1.267e212, 1.78e-307], [0, 0, 0]], "or too large"),
    "one that is too long": ([[1, 0, 0], [0, 1e39, 0], [0, 0, 1]], "or too large"),
    "one that is too short": ([[1, 0, 0], [0, 1e-60, 0], [0, 0, 1]], "is singular"),
    "all of which are too short": (np.eye(3) * 1e-200, "is singular"),
}


@pytest.mark.parametrize("case", BEYOND_FLOAT32)
def test_affines_that_float32_cannot_hold_are_refused(case: str) -> None:
    columns, words = BEYOND_FLOAT32[case]
    affine = np.eye(4)
    affine[:3, :3] = columns
    with pytest.raises(InputError, match=f"a.nii: .*{words}"):
        check_affine(affine, "a.nii")


@pytest.mark.parametrize("spacing", [1e-6, 1e12])
def test_small_and_large_voxels_have_a_volume(spacing: float) -> None:
    """A micrometre's, and a unit that is wrong."""
    check_affine(np.diag([spacing, spacing, spacing, 1.0]), "a.nii")
