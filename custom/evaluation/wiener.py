"""The Wiener filter of a bundle: fitted to the training scans once, stored with the weights, a row of every table."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from custom.degradations import (
    LEAST_NOISE,
    Degradation,
    SeparableDegradation,
    SpectralWiener,
    WienerFilter,
    WienerUpsampler,
    power_spectrum,
    wiener_statistics,
)
from custom.weights import read_checkpoint, save_checkpoint

__all__ = ["fit_wiener", "load_wiener"]

_FILE = "wiener.pt"
_SPECTRUM = "spectrum"

_logger = logging.getLogger(__name__)


def fit_wiener(
    output_dir: str | Path,
    items: Iterable[Mapping[str, Any]],
    transform: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    prepare_batch: Callable[..., tuple[Tensor, Tensor]],
    scan_degradation: Degradation,
    degradation: Degradation,
    width: int = 13,
) -> Path:
    """Write `wiener.pt`: what the Wiener filter of a degradation is computed of, measured over training scans.

    There is nothing random in it, so the same scans give the same numbers. It does not depend on the noise; the filter
    for a noise is computed when it is loaded. A degradation that keeps the grid has a `SpectralWiener`, another one a
    `WienerUpsampler`.

    Args:
        output_dir: the folder of the file; made if it does not exist.
        items: of the training split, as a manifest gives them.
        transform: reads one; the result has "label" `(frames, *spatial)`.
        prepare_batch: makes of {"label": `(1, frames, *spatial)`} the pair of low and high resolution, as `VolumePair`.
        scan_degradation: what makes the pairs.
        degradation: the same, of single images: the 2D one within a `SliceBySlice`.
        width: of the neighbourhood that the filter sees, in low-resolution voxels, odd; without meaning for a
            degradation that keeps the grid.

    Returns:
        The path of the file.

    Raises:
        InputError: if a scan cannot be read or the file not be written.
    """

    def pairs() -> Iterator[tuple[Tensor, Tensor]]:
        for item in tqdm(list(items), desc="fitting the Wiener filter", unit="scan"):
            lr, hr = prepare_batch({"label": transform(item)["label"][None]}, torch.device("cpu"))
            yield scan_degradation.independent_images(lr), scan_degradation.independent_images(hr)

    path = Path(output_dir) / _FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    if degradation.keeps_grid:
        statistics = {_SPECTRUM: power_spectrum(hr for _, hr in pairs())}
    else:
        statistics = wiener_statistics(pairs(), degradation.scale_factor, width)
    save_checkpoint({**statistics, "degradation": repr(degradation)}, path)
    _logger.info("the Wiener filter of %s is in %s", degradation, path)
    return path


def load_wiener(
    output_dir: str | Path, bundle_root: str | Path, degradation: Degradation, noise: float = LEAST_NOISE
) -> WienerFilter | None:
    """Make the Wiener filter of a degradation from `wiener.pt` in `output_dir`, else in the bundle's `models`.

    Args:
        output_dir: where `fit_wiener` may have written one.
        bundle_root: the bundle's folder.
        degradation: what the filter is to undo, of single images.
        noise: see `WienerUpsampler` and `SpectralWiener`.

    Returns:
        The filter; None, with a warning, if there is no file, or only one of another degradation.

    Raises:
        InputError: if the file is damaged.
    """
    fitted = Path(output_dir) / _FILE
    path = fitted if fitted.is_file() else Path(bundle_root) / "models" / _FILE
    advice = "the tables have no row for it; configs/wiener.json fits one to your training scans"
    if not path.is_file():
        _logger.warning("%s: there is no Wiener filter, so %s", path, advice)
        return None
    content = read_checkpoint(path)
    if content["degradation"] != repr(degradation):
        _logger.warning("%s: a Wiener filter of another degradation (%s): %s", path, content["degradation"], advice)
        return None
    if not degradation.keeps_grid:
        return WienerUpsampler(content, degradation.scale_factor, noise)
    assert isinstance(degradation, SeparableDegradation)
    return SpectralWiener(content[_SPECTRUM], degradation, noise)
