from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from custom.degradations import (
    AreaMean,
    GaussianBlur,
    SliceBySlice,
    SpectralWiener,
    WienerUpsampler,
    power_spectrum,
    wiener_statistics,
)
from custom.evaluation import fit_wiener, load_wiener

HALF = AreaMean(2, 2)
OF_SCANS = SliceBySlice(HALF)


def scan(seed: int) -> torch.Tensor:
    return torch.rand(2, 12, 10, 3, generator=torch.Generator().manual_seed(seed)).cumsum(1)


def pair(batch: dict[str, torch.Tensor], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    hr = batch["label"].to(device) / 10
    return OF_SCANS(hr), hr


def fit(folder: Path) -> Path:
    items = [{"label": 0}, {"label": 1}]
    return fit_wiener(folder, items, lambda item: {"label": scan(item["label"])}, pair, OF_SCANS, HALF, width=3)


def test_the_file_holds_the_statistics_of_all_slices_and_frames(tmp_path: Path) -> None:
    path = fit(tmp_path / "new")
    hr = torch.cat([scan(n).movedim(-1, 0) for n in (0, 1)])[:, None].flatten(0, 1) / 10
    expected = WienerUpsampler(wiener_statistics([(HALF(hr), hr)], (2, 2), 3), (2, 2), noise=0.01)
    found = load_wiener(path.parent, "no bundle", HALF, noise=0.01)
    assert isinstance(found, WienerUpsampler)
    torch.testing.assert_close(found.filters, expected.filters)
    again = load_wiener(fit(tmp_path / "again").parent, "no bundle", HALF, noise=0.01)
    assert isinstance(again, WienerUpsampler)
    assert torch.equal(found.filters, again.filters)


def test_a_blur_that_keeps_the_grid_has_the_spectrum_of_the_scans(tmp_path: Path) -> None:
    blur = GaussianBlur(1.0, 3)

    def blurred(batch: dict[str, torch.Tensor], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        return blur(batch["label"]), batch["label"]

    fit_wiener(tmp_path, [{"label": 0}], lambda item: {"label": scan(0)}, blurred, blur, blur)
    found = load_wiener(tmp_path, tmp_path, blur, noise=0.01)
    assert isinstance(found, SpectralWiener)
    image = scan(1)[None]
    expected = SpectralWiener(power_spectrum([scan(0)[None]]), blur, 0.01)
    assert torch.equal(found(image), expected(image))
    assert load_wiener(tmp_path, tmp_path, GaussianBlur(2.0, 3)) is None


def test_the_bundles_own_is_read_where_none_was_fitted(tmp_path: Path) -> None:
    fit(tmp_path / "bundle" / "models")
    assert load_wiener(tmp_path, tmp_path / "bundle", HALF) is not None


def test_one_of_another_degradation_or_none_at_all_is_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fit(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert load_wiener(tmp_path, tmp_path, AreaMean(4, 2)) is None
        assert load_wiener(tmp_path / "empty", tmp_path, HALF) is None
    assert "a Wiener filter of another degradation" in caplog.messages[0]
    assert "there is no Wiener filter" in caplog.messages[1]
