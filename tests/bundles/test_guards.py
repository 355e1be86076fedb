"""What stands between the network and a wrong result: values below 0, and results that contradict their scan."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch
from bundle_cases import BUNDLES, BundleCase, Command, refusal, weights
from dicom_changes import Change
from dicom_files import Layout, write_classic
from PIL import Image
from pydicom.dataset import Dataset
from scipy import ndimage
from tiny_scans import AFFINE, tiny_volume

from custom.scans import read_scan

VOLUME = tiny_volume(3)
ROTATED = ndimage.rotate(VOLUME, 10, (0, 1), reshape=False, order=3)


def _save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(np.asarray(array, dtype=np.float32), AFFINE), path)
    return path


def _load(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


@pytest.mark.parametrize("frames", [1, 2])
def test_undershoot_of_a_resampled_scan_works(command: Command, tmp_path: Path, frames: int) -> None:
    scan = ROTATED if frames == 1 else np.stack([ROTATED, 0.7 * ROTATED], axis=-1)
    assert -0.2 * scan.max() < scan.min() < -0.02 * scan.max()
    out = tmp_path / "out"
    command("inference", "inference", input=str(_save(tmp_path / "a.nii.gz", scan)), output_dir=str(out), report=True)
    result = _load(out / "a_sr.nii.gz")
    assert -0.3 * scan.max() < result.min() < 0
    assert result.max() < 1.7 * scan.max()
    assert result.mean() == pytest.approx(scan.mean(), rel=0.03)
    assert (out / "inference.json").is_file()


def test_a_signed_scan_is_refused_and_the_others_go_on(command: Command, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    _save(folder / "scan.nii.gz", VOLUME)
    slab = VOLUME[:, :, 1:3]
    for name, array in {
        "slab": (slab - slab.mean()) / slab.std(),
        "negative": -VOLUME,
        "phase": np.random.default_rng(0).uniform(-4096, 4095, VOLUME.shape),
        "spike": np.where(np.arange(VOLUME.size).reshape(VOLUME.shape) == 2000, -30000, VOLUME),
        "one_of_three": np.stack([VOLUME, VOLUME - 700, VOLUME], axis=-1),
    }.items():
        _save(folder / f"{name}.nii.gz", array)
    words = refusal(1, command, "inference", "inference", input=str(folder), output_dir=str(out))
    assert "5 of 6 inputs failed" in words
    for name in ("slab", "negative", "phase", "spike", "one_of_three"):
        assert f"{name}.nii.gz: not a magnitude image" in words
    assert [path.name for path in out.iterdir()] == ["scan_sr.nii.gz"]


def test_a_signed_scan_is_made_a_magnitude_where_it_is_asked_for(command: Command, tmp_path: Path) -> None:
    def infer(scan: Path, out: str, **keys: str) -> np.ndarray:
        command("inference", "inference", input=str(scan), output_dir=str(tmp_path / out), **keys)
        return _load(tmp_path / out / f"{scan.name.split('.')[0]}_sr.nii.gz")

    expected = infer(_save(tmp_path / "scan.nii.gz", VOLUME), "plain")
    signed = VOLUME.copy()
    signed[:17] *= -1
    magnitude = infer(_save(tmp_path / "signed.nii.gz", signed), "magnitude", negative_values="magnitude")
    np.testing.assert_array_equal(magnitude, expected)
    padded = np.where(VOLUME > 0, VOLUME, -2000)
    clipped = infer(_save(tmp_path / "padded.nii.gz", padded), "clipped", negative_values="clip")
    np.testing.assert_array_equal(clipped, expected)
    words = refusal(2, infer, tmp_path / "scan.nii.gz", "none", negative_values="absolute")
    assert "negative_values is 'absolute'; give one of refuse, clip, magnitude" in words


def test_intercept_and_padding_of_dicom_are_applied_before_values_are_looked_at(
    command: Command, tmp_path: Path
) -> None:
    def store(pixels: np.ndarray, padding: int | None = None) -> Change:
        def change(image: Dataset, k: int, t: int) -> Dataset:
            image.Columns, image.Rows = pixels.shape[:2]
            image.PixelData = pixels[:, :, k].T.astype("<u2").tobytes()
            if padding is not None:
                image.PixelPaddingValue = padding
            return image

        return change

    folder, out = tmp_path / "in", tmp_path / "out"
    whole = np.rint(VOLUME)
    padded = np.where(VOLUME > 0, whole, -2000)
    write_classic(folder / "magnitude", Layout((2, 2, 5), intercept=-1024.0), change=store(whole + 1024))
    write_classic(folder / "offset", Layout((2, 2, 5), intercept=-2000.0), change=store(whole + 1024))
    write_classic(folder / "padded", Layout((2, 2, 5), dtype="int16"), change=store(padded, -2000))
    write_classic(folder / "signed", Layout((2, 2, 5), dtype="int16"), change=store(padded))
    words = refusal(1, command, "inference", "inference", input=str(folder), output_dir=str(out))
    assert "2 of 4 inputs failed" in words
    results = {path.name: read_scan(path).numpy() for path in out.rglob("*_sr")}
    assert results.keys() == {"magnitude_sr", "padded_sr"}
    np.testing.assert_allclose(results["padded_sr"], results["magnitude_sr"], atol=1)
    assert "PixelPaddingValue" not in pydicom.dcmread(next(out.rglob("padded_sr/*.dcm")))


@pytest.fixture
def exploding(case: BundleCase, tmp_path: Path) -> str:
    """The bundle's weights with a last convolution that is 5000 times too strong."""
    content = weights(BUNDLES / case.name / "models" / "model.pt")
    last = [name for name, value in content.items() if value.ndim > 3][-1]
    content[last] = 5000 * content[last].float()
    torch.save(content, tmp_path / "exploding.pt")
    return str(tmp_path / "exploding.pt")


def test_a_result_that_contradicts_its_scan_is_not_written(
    command: Command, case: BundleCase, exploding: str, tmp_path: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    _save(folder / "volume.nii.gz", VOLUME)
    _save(folder / "cine.nii.gz", np.stack([VOLUME, 0.8 * VOLUME], axis=-1))
    write_classic(folder / "series", Layout(shape=(16, 12, 3)))
    if not case.of_volumes:
        Image.fromarray((VOLUME[:, :, 2] / 8).clip(0, 255).astype(np.uint8)).save(folder / "picture.png")
    count = 3 if case.of_volumes else 4
    keys = {"input": str(folder), "output_dir": str(out), "checkpoint": exploding, "report": True, "tile_size": 20}
    words = refusal(1, command, "inference", "inference", **keys)
    assert f"{count} of {count} inputs failed" in words
    assert words.count("the result contradicts the scan, so it is not written: degraded again") == count
    assert not [path for path in out.rglob("*") if path.is_file() and path.name != "inference.json"]
    command("inference", "inference", **keys, consistency_limit="inf")
    assert len(list(out.iterdir())) >= count
