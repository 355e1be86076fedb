"""Real DICOM: every folder reads in place, in its units; figures are counted from the files without the reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_checks import stack_of

from custom.scans import list_scans
from custom.scans.dicom.pixels import read_stack

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning")]

FOLDERS = {
    "dicom/enhanced/siemens_t1": ((128, 128, 96), 1, (2.0, 2.0, 2.0), "uint16"),
    "dicom/enhanced/philips_pcasl": ((96, 96, 40), 1, (2.5, 2.5, 4.0), "uint16"),
    "dicom/classic/philips_pcasl": ((96, 96, 40), 1, (2.5, 2.5, 4.0), "uint16"),
    "dicom/classic/philips_t1": ((256, 256, 44), 1, (1.0, 1.0, 1.0), "uint16"),
    "dicom/classic/ge_knee_echo1": ((256, 256, 24), 1, (0.625, 0.625, 4.0), "int16"),
    "cardiac_cine/dicom/SC-HF-I-01": ((256, 256, 12), 20, (1.367188, 1.367188, 10.0), "int16"),
}


@pytest.mark.parametrize("folder", FOLDERS)
def test_geometry_and_values(shared_data: Path, folder: str) -> None:
    shape, frames, spacing, dtype = FOLDERS[folder]
    stack = stack_of(shared_data / folder)
    scan = read_stack(stack)
    assert stack.shape == shape
    assert scan.array.shape == (shape if frames == 1 else (*shape, frames))
    assert scan.header.stored_dtype == dtype
    np.testing.assert_allclose(np.linalg.norm(scan.affine[:3, :3], axis=0), spacing, rtol=1e-3)
    assert [scan.path for scan in list_scans(shared_data / folder)] == [stack.files[0]]
    if stack.enhanced:
        return
    for k in (0, shape[2] // 2, shape[2] - 1):
        for frame in (stack.frames[k][0], stack.frames[k][-1]):
            data = pydicom.dcmread(frame.path)
            t = stack.frames[k].index(frame)
            pixels = data.pixel_array * float(data.get("RescaleSlope", 1)) + float(data.get("RescaleIntercept", 0))
            plane = scan.array[:, :, k] if frames == 1 else scan.array[:, :, k, t]
            np.testing.assert_allclose(plane.T, pixels, rtol=1e-6)
            position, cosines = (np.array(data[name].value, float) for name in ((0x200032), (0x200037)))
            column_mm, row_mm = map(float, data.PixelSpacing)
            lps = position + 200 * row_mm * cosines[:3] + 50 * column_mm * cosines[3:]
            np.testing.assert_allclose((scan.affine @ (200, 50, k, 1))[:3], lps * (-1, -1, 1), atol=1e-2)


def test_enhanced_and_classic_export_of_one_scan_are_equal(shared_data: Path) -> None:
    classic, enhanced = (
        read_stack(stack_of(shared_data / "dicom" / form / "philips_pcasl")) for form in ("classic", "enhanced")
    )
    np.testing.assert_array_equal(classic.array, enhanced.array)
    np.testing.assert_allclose(classic.affine, enhanced.affine, atol=1e-9)
    # Slope 0.1: the stored values are whole numbers
    assert classic.array.max() == pytest.approx(403.1)


def test_knee_is_big_endian_with_a_gap(shared_data: Path) -> None:
    stack = stack_of(shared_data / "dicom/classic/ge_knee_echo1")
    syntax = pydicom.dcmread(stack.files[0], stop_before_pixels=True).file_meta.TransferSyntaxUID
    assert not syntax.is_little_endian
    assert stack.slice_thickness == 3.0
    assert 5000 < read_stack(stack).array.max() < 20000


def test_cine_has_its_phases_and_true_spacing(shared_data: Path) -> None:
    """SliceLocation says 6.72 mm; positions say 10 mm. The number of a file is 20 slices + phase."""
    stack = stack_of(shared_data / "cardiac_cine/dicom/SC-HF-I-01")
    assert stack.frame_axis == "time"
    assert len(stack.frame_values) == 20
    assert (np.diff(stack.frame_values) > 30).all()
    numbers = np.array([[int(frame.path.stem[3:]) for frame in row] for row in stack.frames]) - 1
    np.testing.assert_array_equal(numbers % 20, np.tile(np.arange(20), (12, 1)))
    slices = numbers // 20
    assert (slices == slices[:, :1]).all()
    assert np.abs(np.diff(slices[:, 0])).tolist() == [1] * 11


def test_old_multi_frame_without_geometry_is_refused(shared_data: Path) -> None:
    with pytest.raises(ValueError, match=r"heart_16frames\.dcm: .* is not given"):
        stack_of(shared_data / "samples/heart_16frames.dcm")
