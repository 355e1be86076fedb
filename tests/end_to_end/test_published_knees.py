"""What the published scripts for knees got wrong, on the way that a scan takes here: read, scaled, blurred, written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pydicom
import pytest
import torch
from dicom_files import Layout, content, write_classic
from pydicom.dataset import Dataset
from scipy.ndimage import gaussian_filter

from custom.degradations import GaussianBlur
from custom.scans import ResultOptions, find_scan, list_scans
from custom.transforms import LoadScand, RestoreIntensityd, SaveScand, ScaleIntensityByPercentiled, SetGridAffined

# The smallest value is far from 0, where to forget or to misplace it would show.
LAYOUT = Layout(shape=(16, 12, 7), intercept=700.0)
SHARP = content(LAYOUT)
BLUR = GaussianBlur(5.0, spatial_dims=3)
BLURRED = gaussian_filter(SHARP, 5.0, mode="reflect", truncate=4.0)
# Unlike a reversed order, this one is not its own inverse.
ORDER = np.roll(np.arange(7), 3)


@pytest.fixture
def knee(tmp_path: Path) -> Path:
    """A patient's folder of *.mag files; some lack SliceLocation, the others have one that orders them wrongly."""

    def scramble(data: Dataset, k: int, t: int) -> Dataset:
        data.InstanceNumber = int(ORDER[k]) + 1
        data.SliceLocation = str(10.0 * ORDER[k])
        if k % 2:
            del data.SliceLocation
        return data

    folder = tmp_path / "data" / "P4"
    for k, file in enumerate(write_classic(folder, LAYOUT, change=scramble)):
        file.rename(folder / f"I{ORDER[k]}.mag")
    return folder


def _result(source: Path, out: Path, network: Callable[[torch.Tensor], torch.Tensor]) -> Path:
    """Take the only scan of a folder through the transforms of inference."""
    (scan,) = list_scans(source)
    item = ScaleIntensityByPercentiled("image")(LoadScand("image")({"image": scan}))
    item["pred"] = network(item["image"].as_tensor()[None])[0]
    item = SetGridAffined("pred", source="image", degradation=BLUR)(RestoreIntensityd("pred")(item))
    return Path(SaveScand("pred", ResultOptions(out))(item)["pred_path"])


def _slices(folder: Path) -> dict[tuple[float, ...], Dataset]:
    """Return the files of a folder by their positions."""
    files = [pydicom.dcmread(path) for path in folder.iterdir()]
    slices = {tuple(np.round(np.array(file.ImagePositionPatient, dtype=float), 3)): file for file in files}
    assert len(slices) == len(files)
    return slices


def _units(file: Dataset) -> np.ndarray:
    """Return the values of a slice, (i, j)."""
    return file.pixel_array.T * float(file.RescaleSlope) + float(file.RescaleIntercept)


def test_every_slice_comes_back_in_its_place(knee: Path, tmp_path: Path) -> None:
    written = _slices(_result(knee, tmp_path / "out", BLUR))
    assert written.keys() == _slices(knee).keys()
    for k in range(7):
        file = written[tuple(np.round(LAYOUT.position(k), 3))]
        np.testing.assert_allclose(_units(file), BLURRED[..., k], atol=float(file.RescaleSlope))


def test_the_range_comes_back(knee: Path, tmp_path: Path) -> None:
    """Neither the largest nor the smallest value moves where nothing is done to the image."""
    values = np.stack([_units(file) for file in _slices(_result(knee, tmp_path / "out", torch.clone)).values()])
    assert (SHARP.min(), SHARP.max()) == (700.0, 1425.0)
    np.testing.assert_allclose((values.min(), values.max()), (700.0, 1425.0), atol=0.02)


def test_files_of_a_result_are_a_series_of_their_own(knee: Path, tmp_path: Path) -> None:
    source, written = _slices(knee), _slices(_result(knee, tmp_path / "out", BLUR))
    for name in ("SeriesInstanceUID", "SOPInstanceUID"):
        assert not {file[name].value for file in source.values()} & {file[name].value for file in written.values()}
    assert len({file.SOPInstanceUID for file in written.values()}) == 7
    for position, file in written.items():
        assert file.StudyInstanceUID == source[position].StudyInstanceUID
        assert file.SourceImageSequence[0].ReferencedSOPInstanceUID == source[position].SOPInstanceUID
        assert file.DerivationDescription


def test_blurred_volume_is_what_is_stored(tmp_path: Path) -> None:
    """Its values are those of scipy, and vary less than the sharp ones."""
    (tmp_path / "data").mkdir()
    with h5py.File(tmp_path / "data" / "P4.h5", "w") as file:
        file["data1"] = SHARP
    written = _result(tmp_path / "data", tmp_path / "out", BLUR)
    assert written.name == "P4_sr.h5"
    stored = LoadScand("image")({"image": find_scan(written)})["image"][0].numpy()
    np.testing.assert_allclose(stored, BLURRED, rtol=1e-5)
    assert stored.var() < 0.5 * SHARP.var()
