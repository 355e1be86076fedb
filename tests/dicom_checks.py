"""What reading and writing have to give of the files that dicom_files writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_changes import Change
from dicom_files import Layout, content, write_classic, write_source
from pydicom.dataset import Dataset

from custom.arrays.geometry import field_of_view_corners
from custom.errors import InputError
from custom.scans import Provenance, check_header, find_scan, list_scans, read_scan
from custom.scans.dicom.frame import DicomStack
from custom.scans.dicom.pixels import read_stack
from custom.scans.dicom.writer import DicomForm, write_dicom

__all__ = [
    "PROVENANCE",
    "check_read",
    "check_refused",
    "check_written",
    "derived",
    "enlarged",
    "find_stacks",
    "stack_of",
]

PROVENANCE = Provenance("Some model", "1.2.3", "ab" * 32)


def stack_of(path: Path) -> DicomStack:
    """Return the DICOM series that a path stands for, in order."""
    return find_scan(path).dicom_stack()


def find_stacks(folder: Path) -> list[DicomStack]:
    """Return the DICOM series in a folder that can be put in order."""
    return [scan.stack for scan in list_scans(folder) if scan.stack is not None]


def check_read(stack: DicomStack, layout: Layout) -> None:
    """Values voxel by voxel, and the place of the corners by the standard's own formula."""
    scan = read_stack(stack)
    np.testing.assert_array_equal(scan.array, content(layout))
    assert scan.array.dtype == np.float32
    assert stack.shape == layout.shape
    last = tuple(n - 1 for n in layout.shape)
    for i in (0, last[0]):
        for j in (0, last[1]):
            for k in range(layout.shape[2]):
                np.testing.assert_allclose(
                    (scan.affine @ (i, j, k, 1))[:3], layout.world(i, j, k), atol=1e-4, err_msg=f"{(i, j, k)}"
                )


def check_refused(folder: Path, layout: Layout, change: Change, words: str, header_shows_it: bool = True) -> None:
    """A series is one error that names its folder, from its headers alone; it is listed, and reading says why."""
    write_classic(folder, layout, change=change)
    for look in (check_header, read_scan) if header_shows_it else (read_scan,):
        with pytest.raises(InputError, match=words) as caught:
            look(folder)
        assert str(folder) in str(caught.value)
    with pytest.raises(InputError, match=words):
        [read_scan(scan) for scan in list_scans(folder)]


def enlarged(array: np.ndarray, affine: np.ndarray, factors: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Repeat voxels; each becomes a block that fills its place."""
    for axis, factor in enumerate(factors):
        array = np.repeat(array, factor, axis=axis)
    step = np.diag([*(1 / f for f in factors), 1.0])
    step[:3, 3] = [(1 / f - 1) / 2 for f in factors]
    return array, affine @ step


def check_written(
    folder: Path, layout: Layout, factors: Sequence[int], enhanced: bool = False, form: DicomForm = "as_input"
) -> Path:
    """A made-up scan with more voxels, written and read again, has its values, place, frames and thickness."""
    source = stack_of(write_source(folder, layout, enhanced))
    scan = read_stack(source)
    array, affine = enlarged(scan.array, scan.affine, factors)
    target = folder / ("out.dcm" if enhanced and form == "as_input" else "out")
    written = write_dicom(array, affine, source, target, form=form, provenance=PROVENANCE)
    back_stack = stack_of(written)
    back = read_stack(back_stack)
    assert back.array.shape == array.shape
    finest = min(frame.slope for row in source.frames for frame in row)
    assert np.abs(back.array - array).max() <= 0.5 * finest * (1 + 1e-5)
    np.testing.assert_allclose(
        field_of_view_corners(array.shape[:3], back.affine), field_of_view_corners(array.shape[:3], affine), atol=1e-3
    )
    assert back_stack.frame_axis == source.frame_axis
    np.testing.assert_allclose(back_stack.frame_values, source.frame_values, rtol=1e-9)
    assert back_stack.slice_thickness == pytest.approx(source.slice_thickness / factors[2])
    return written


def derived(source: Path, target: Path, form: DicomForm = "as_input") -> list[Dataset]:
    """Write the voxels of a source as a result, and return the files of the result."""
    stack = stack_of(source)
    scan = read_stack(stack)
    written = write_dicom(scan.array, scan.affine, stack, target, form=form)
    return [pydicom.dcmread(path) for path in (sorted(written.iterdir()) if written.is_dir() else [written])]
