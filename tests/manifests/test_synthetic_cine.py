from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from custom.errors import InputError
from custom.manifests import synthetic_cine as module
from custom.manifests.manifest import load_manifest
from custom.manifests.splits import SPLITS
from custom.manifests.synthetic_cine import (
    SYNTHETIC_SUBJECTS,
    contraction,
    paint_synthetic_cine,
    sample_scans,
    synthetic_cine,
    synthetic_cine_folder,
)


@pytest.fixture(scope="module")
def cine() -> nib.Nifti1Image:
    return synthetic_cine(1)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Instead of painting, a tiny image; returns the numbers that were asked for."""
    asked: list[int] = []

    def tiny(number: int) -> nib.Nifti1Image:
        asked.append(number)
        return nib.Nifti1Image(np.full((2, 2, 1, 2), number, np.int16), np.eye(4))

    monkeypatch.setattr(module, "synthetic_cine", tiny)
    return asked


def test_header_says_what_the_axes_are(cine: nib.Nifti1Image) -> None:
    assert cine.shape == (128, 128, 3, 12)
    assert cine.get_data_dtype() == np.int16
    assert np.allclose(cine.header.get_zooms()[:3], (1.6, 1.6, 10.0))
    assert cine.header.get_zooms()[3] * 12 == pytest.approx(0.84)
    assert cine.header.get_xyzt_units() == ("mm", "sec")
    assert nib.aff2axcodes(cine.affine) == ("L", "P", "S")
    assert np.allclose(cine.get_sform(), cine.get_qform(), atol=1e-4)
    middle = nib.affines.apply_affine(cine.affine, (np.array(cine.shape[:3]) - 1) / 2)
    assert np.allclose(middle, 0, atol=1e-4)


def test_painting_twice_gives_the_same(cine: nib.Nifti1Image) -> None:
    assert np.array_equal(synthetic_cine(1).get_fdata(), cine.get_fdata())


def test_the_cavity_contracts_by_the_shortening_and_fills_again(cine: nib.Nifti1Image) -> None:
    """Bright voxels that hang together around the cavity's middle, against the area that the radius gives."""
    heart = module._HEARTS[0]
    seed = tuple(round(63.5 + (offset + shift) / 1.6) for offset, shift in zip((16, 4), heart.shift, strict=True))
    areas = []
    for t in range(12):
        frame = ndimage.gaussian_filter(cine.get_fdata()[:, :, 1, t], 0.7)
        regions, _ = ndimage.label(frame > 0.6 * frame[seed])
        areas.append((regions == regions[seed]).sum() * 1.6**2)
    size = 0.72 + 0.55 * 0.5 - 0.27 * 0.25
    papillary = 2.15 * np.pi * (0.17 * 0.95) ** 2 * heart.ed_radius**2
    assert max(areas) == areas[0] == pytest.approx(np.pi * (heart.ed_radius * size) ** 2 - papillary, rel=0.1)
    assert int(np.argmin(areas)) == 4
    ejection = 1 - (1 - heart.shortening) ** 2
    assert 1 - min(areas) / max(areas) == pytest.approx(ejection, abs=0.12)
    assert areas[11] > 0.9 * areas[0]


def test_contrast_is_that_of_bssfp(cine: nib.Nifti1Image) -> None:
    heart = module._HEARTS[0]
    x, y = (round(63.5 + (offset + shift) / 1.6) for offset, shift in zip((16, 4), heart.shift, strict=True))
    frame = cine.get_fdata()[:, :, 1, 0]
    radius = heart.ed_radius * (0.72 + 0.55 * 0.5 - 0.27 * 0.25)
    blood = frame[x - 4 : x + 5, y - 4 : y + 5].mean()
    distance = np.hypot(*(np.indices(frame.shape) - np.array([x, y])[:, None, None])) * 1.6
    wall = frame[np.abs(distance - radius - heart.wall / 2) < 1.5].mean()
    lung = frame[-10:, 5:25].mean()
    fat = np.quantile(frame, 0.99)
    assert fat > blood > 2.5 * wall > 2.5 * 2 * lung > 0


def test_subjects_differ() -> None:
    first, second = (synthetic_cine(number).get_fdata() for number in (2, 3))
    assert np.abs(first - second).mean() > 40


def test_contraction_begins_and_ends_at_rest() -> None:
    assert contraction(0.0) == contraction(1.0) == 0
    assert contraction(0.35) == 1
    assert all(0 <= contraction(phase) <= 1 for phase in np.linspace(0, 2, 41))


def test_files_are_made_once_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: list[int]) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = synthetic_cine_folder()
    assert folder.is_relative_to(tmp_path / "cache")
    assert not folder.exists()
    assert sample_scans(str(folder)) == str(folder)
    assert sorted(path.name for path in folder.iterdir()) == [f"{subject}_sa.nii.gz" for subject in SYNTHETIC_SUBJECTS]
    assert quick == [1, 2, 3, 4, 5, 6]
    (folder / "synthetic-2_sa.nii.gz").unlink()
    sample_scans(synthetic_cine_folder())
    assert quick == [1, 2, 3, 4, 5, 6, 2]
    assert (nib.load(folder / "synthetic-2_sa.nii.gz").get_fdata() == 2).all()
    assert sample_scans(tmp_path) == str(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: list[int]) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    folder = sample_scans(synthetic_cine_folder())
    assert Path(folder).is_relative_to(tmp_path / "temporary")
    assert len(list(Path(folder).iterdir())) == 6
    with pytest.raises(InputError, match="cannot be written"):
        paint_synthetic_cine(tmp_path / "file" / "below")


def test_manifest_of_the_sample_splits_by_subject(tmp_path: Path, quick: list[int]) -> None:
    paint_synthetic_cine(tmp_path)
    manifest = load_manifest("sample_cardiac_cine", tmp_path)
    assert manifest.content["sample"]
    assert [len(manifest.items(name)) for name in SPLITS] == [3, 1, 2]
    assert sorted(subject for name in SPLITS for subject in manifest.subjects[name]) == list(SYNTHETIC_SUBJECTS)
