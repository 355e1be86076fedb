"""Inference, whichever bundle: results lie in place, in the units of the input."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bundle_cases import BundleCase, Command
from tiny_scans import AFFINE, tiny_volume

from custom.arrays import field_of_view_corners


def test_inference_lies_in_place_in_the_units_of_the_input(
    command: Command, case: BundleCase, scan: Path, tmp_path: Path
) -> None:
    command("inference", "inference", input=str(scan), output_dir=str(tmp_path / "out"))
    before, after = nib.load(scan), nib.load(tmp_path / "out" / "scan_sr.nii.gz")
    assert after.shape == tuple(n * s for n, s in zip(before.shape, case.scale, strict=True))
    corners = [field_of_view_corners(image.shape, image.affine) for image in (before, after)]
    np.testing.assert_allclose(*corners, atol=1e-3)
    np.testing.assert_allclose(after.get_sform(), after.get_qform(), atol=1e-4)
    assert after.get_data_dtype() == np.float32
    assert after.header["descrip"].item().startswith(b"float32, cpu (")
    assert after.get_fdata().mean() == pytest.approx(before.get_fdata().mean(), rel=0.03)


def test_an_image_smaller_than_the_network_sees_works(command: Command, case: BundleCase, tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(tiny_volume(1)[16:18, 20:23], AFFINE), tmp_path / "small.nii.gz")
    out = tmp_path / "out"
    command("inference", "inference", input=str(tmp_path / "small.nii.gz"), output_dir=str(out))
    assert nib.load(out / "small_sr.nii.gz").shape == tuple(n * s for n, s in zip((2, 3, 5), case.scale, strict=True))


@pytest.mark.parametrize("place", ["out", "."])
def test_results_are_no_scans_of_the_next_run(command: Command, scan: Path, place: str) -> None:
    options = {"input": str(scan.parent), "output_dir": str(scan.parent / place), "overwrite": "true"}
    for _ in range(2):
        command("inference", "inference", **options)
    assert len(list(scan.parent.rglob("*.nii.gz"))) == 2
