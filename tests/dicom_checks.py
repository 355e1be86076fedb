"""What a reader has to give of the files that dicom_files writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from dicom_files import Layout, content

from custom.scans import find_scan, list_scans
from custom.scans.dicom.frame import DicomStack
from custom.scans.dicom.pixels import read_stack

__all__ = ["check_read", "find_stacks", "stack_of"]


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


def stack_of(path: Path) -> DicomStack:
    """Return the DICOM series that a path stands for, in order."""
    return find_scan(path).dicom_stack()


def find_stacks(folder: Path) -> list[DicomStack]:
    """Return the DICOM series in a folder that can be put in order."""
    return [scan.stack for scan in list_scans(folder) if scan.stack is not None]
