"""Values, positions and origins of results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_checks import check_written, stack_of
from dicom_files import OBLIQUE, Layout, content, write_source

from custom.errors import InputError
from custom.scans.dicom.pixels import read_stack
from custom.scans.dicom.writer import write_dicom


def test_slices_in_between_take_the_times_of_the_nearest(tmp_path: Path) -> None:
    layout = Layout(frames=2, shape=(2, 2, 3))
    written = check_written(tmp_path, layout, (1, 1, 3))
    frames = stack_of(written).frames
    assert [[frame.labels["trigger_time"] for frame in row] for row in frames] == [
        [layout.frame_value(t, k // 3) for t in range(2)] for k in range(9)
    ]


def test_overshoot_below_zero_is_kept(tmp_path: Path) -> None:
    source = stack_of(write_source(tmp_path, Layout()))
    array = content(Layout()) - 12.0
    back = read_stack(stack_of(write_dicom(array, source.affine, source, tmp_path / "out")))
    np.testing.assert_array_equal(back.array, array)


@pytest.mark.parametrize("enhanced", [False, True])
def test_a_range_too_wide_for_16_bits_is_as_fine_as_it_can_be_in_each_plane(tmp_path: Path, enhanced: bool) -> None:
    layout = Layout(shape=(6, 5, 2))
    source = stack_of(write_source(tmp_path, layout, enhanced))
    array = np.stack([np.linspace(0, 300, 30).reshape(6, 5), np.linspace(-1e6, 1e6, 30).reshape(6, 5)], axis=-1)
    back = read_stack(stack_of(write_dicom(array, source.affine, source, tmp_path / "out.dcm")))
    assert np.abs(back.array - array)[..., 0].max() <= 0.5
    assert np.abs(back.array - array)[..., 1].max() <= 0.5 * 2e6 / 65533


def test_what_dicom_cannot_hold_is_refused(tmp_path: Path) -> None:
    source = stack_of(write_source(tmp_path, Layout(orientation=OBLIQUE)))
    array, target = content(Layout()), tmp_path / "out"
    sheared = source.affine.copy()
    sheared[:3, 0] += 0.2 * sheared[:3, 1]
    with pytest.raises(InputError, match="right angles"):
        write_dicom(array, sheared, source, target)
    with pytest.raises(InputError, match="NaN"):
        write_dicom(np.full_like(array, np.nan), source.affine, source, target)
    with pytest.raises(ValueError, match="2 frames and its source 1"):
        write_dicom(np.stack([array, array], -1), source.affine, source, target)
    with pytest.raises(InputError, match="65536 columns"):
        write_dicom(np.zeros((65536, 1, 1)), source.affine, source, target)
    with pytest.raises(InputError, match="classic series does not say all"):
        write_dicom(array, source.affine, source, target, form="enhanced")
    assert not target.exists()
