"""Affines as positions and directions of DICOM, and the slices of a source that are nearest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from custom.errors import InputError
from custom.scans.dicom.planes import nearest_slices, planes_of

# Columns run to the left (LPS +x) by 0.5 mm, rows to the feet by 2 mm, slices to the front by 3 mm.
AFFINE = np.array([[-0.5, 0.0, 0.0, 10.0], [0.0, 0.0, 3.0, 20.0], [0.0, -2.0, 0.0, 30.0], [0.0, 0.0, 0.0, 1.0]])


def test_positions_and_directions_are_those_of_patient_coordinates() -> None:
    planes = planes_of(AFFINE, Path("a"))
    assert [float(value) for value in planes.orientation] == [1, 0, 0, 0, 0, -1]
    assert planes.pixel_spacing == ["2", "0.5"]  # between rows, between columns
    assert planes.slice_spacing == pytest.approx(3.0)
    assert [float(value) for value in planes.position(2)] == [-10, -26, 30]
    assert float(planes.location(2)) == -26  # along the normal, which is LPS +y


def test_shear_within_the_plane_is_refused() -> None:
    sheared = AFFINE.copy()
    sheared[:3, 0] += 0.1 * sheared[:3, 1]
    with pytest.raises(InputError, match=r"out: rows and columns .* not at right angles"):
        planes_of(sheared, Path("out"))


@pytest.mark.parametrize(("factor", "expected"), [(3, [0, 0, 0, 1, 1, 1]), (1, [0, 1])])
def test_slices_come_from_the_nearest(factor: int, expected: list[int]) -> None:
    finer = AFFINE @ np.diag([1, 1, 1 / factor, 1])
    finer[:3, 3] += AFFINE[:3, 2] * (1 / factor - 1) / 2
    assert nearest_slices(finer, (4, 5, 2 * factor), AFFINE, 2) == expected
