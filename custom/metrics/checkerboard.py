"""How much of an error repeats with the lattice of the low-resolution pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["checkerboard"]

_CELLS = 8  # lattice cells along a window; also the distance of the lattice's frequencies, in steps of the spectrum
_RING = 3  # beyond the reach of the window's leakage (1), and nearer to this lattice frequency than to the next


def checkerboard(pred: Tensor, label: Tensor | None, scale_factor: int) -> float:
    """Return how far the error's power stands out at the frequencies of the lattice; 1 for none.

    The power at all multiples of 1 / s cycles per pixel, the mean left out, is divided by the mean power around each of
    them, on a square 3 steps away. A lattice as networks leave it (pixel shuffle, transposed convolutions) is energy at
    just these frequencies, because what they do differently to the s * s pixels of a cell repeats with period s; an
    error without one has about the same power beside them: 1 for white noise. Power spectra are those of windows of
    8 cells (Hann, overlapping by half), averaged: a lattice that comes and goes over the image counts too, and the
    image's borders do not. A lattice of variance A in white noise of variance v gives
    1 + (A / v) * (16 s / 3)**2 / (s*s - 1).

    Args:
        pred: slices `(B, C, H, W)` as (B, 1, H, W); a figure is over all of them together.
        label: of the same shape; None to measure the image itself.
        scale_factor: s, 2 or more.

    Returns:
        The ratio; 1.0 without any error, infinity where nothing lies between the lattice's frequencies, NaN for images
        with a side of less than 8 s.

    Source: the averaging of Welch 1967, "The use of fast Fourier transform for the estimation of power spectra".
    """
    if pred.ndim != 4 or (label is not None and pred.shape != label.shape):
        shape = "nothing" if label is None else tuple(label.shape)
        raise ValueError(f"pred has shape {tuple(pred.shape)} and label {shape}; both must be one (B, C, H, W)")
    if scale_factor < 2:
        raise ValueError(f"scale_factor is {scale_factor}; there is no lattice below 2")
    size = _CELLS * scale_factor
    if min(pred.shape[-2:]) < size:
        return math.nan
    error = pred.double() if label is None else pred.double() - label.double()
    window = torch.hann_window(size, periodic=True, dtype=torch.float64, device=error.device)
    power = torch.zeros(size, size, dtype=torch.float64, device=error.device)
    for picture in error.flatten(0, 1):
        windows = picture.unfold(0, size, size // 2).unfold(1, size, size // 2)
        power += torch.fft.fft2(windows * window * window[:, None]).abs().square().sum(dim=(0, 1))
    around = torch.stack([power.roll(step, dims=(0, 1)) for step in _ring()]).mean(dim=0)
    at_lattice, beside = (float(p[::_CELLS, ::_CELLS].sum() - p[0, 0]) for p in (power, around))
    if beside > 0:
        return at_lattice / beside
    return math.inf if at_lattice > 0 else 1.0


def _ring() -> list[tuple[int, int]]:
    side = range(-_RING, _RING + 1)
    return [(row, column) for row in side for column in side if max(abs(row), abs(column)) == _RING]
