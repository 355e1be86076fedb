"""Derived series of single images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_checks import PROVENANCE, enlarged, stack_of
from dicom_files import Layout, content, write_enhanced, write_source

from custom.scans.dicom.pixels import read_stack
from custom.scans.dicom.writer import write_dicom


@pytest.mark.parametrize("enhanced", [False, True])
def test_images_are_numbered_in_the_order_of_the_source(tmp_path: Path, enhanced: bool) -> None:
    """Made-up series are numbered slice by slice, backwards; the two that one slice becomes keep to that."""
    layout = Layout(shape=(4, 3, 3), frames=2)
    source = stack_of(write_source(tmp_path, layout, enhanced))
    scan = read_stack(source)
    array, affine = enlarged(scan.array, scan.affine, (1, 1, 2))
    written = write_dicom(array, affine, source, tmp_path / "out", form="classic", provenance=PROVENANCE)
    images = [pydicom.dcmread(file) for file in sorted(written.iterdir())]
    assert [image.InstanceNumber for image in images] == list(range(1, 13))
    # The last slice comes first; in the classic series its last phase, in the Enhanced file its first.
    frames = (0, 1) if enhanced else (1, 0)
    expected = [(7 + 4 * k + d, layout.frame_value(t, k)) for k in (2, 1, 0) for d in (1, -1) for t in frames]
    found = [(float(image.ImagePositionPatient[2]), float(image.TriggerTime)) for image in images]
    np.testing.assert_allclose(found, expected)


def test_times_of_an_enhanced_cine_are_kept_in_single_files(tmp_path: Path) -> None:
    layout = Layout(frames=3)
    write_enhanced(tmp_path / "cine.dcm", layout)
    source = stack_of(tmp_path / "cine.dcm")
    written = write_dicom(content(layout), source.affine, source, tmp_path / "out", form="classic")
    result = stack_of(written)
    assert result.frame_axis == source.frame_axis == "time"
    assert result.frame_values == pytest.approx(source.frame_values)
    np.testing.assert_array_equal(read_stack(result).array, content(layout))
