"""Checkerboards, as pixel shuffle and transposed convolutions leave them: errors that repeat with the scale."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["checkerboard"]

_CELLS = 8  # cells of s pixels along a window, so that the frequencies of the lattice are 8 steps of the spectrum apart
_RING = 3  # steps of the spectrum: further than the Hann window leaks (1), and less than half way to the next frequency


def checkerboard(pred: Tensor, label: Tensor | None, scale_factor: int) -> float:
    """Return the power of the error at the frequencies of the lattice over the power beside them; 1 means no lattice.

    A network that enlarges by s may treat the s * s pixels of a cell differently. This pattern, the lattice, repeats
    with period s, so its power is at the multiples of 1 / s cycles per pixel. The power there (without the mean of the
    image) is divided by the mean power on a square 3 steps of the spectrum away. White noise gives 1. A lattice of
    variance A in white noise of variance v gives 1 + (A / v) * (16 s / 3)**2 / (s*s - 1).

    The power spectrum is the mean over Hann windows of 8 s pixels that overlap by half. So a lattice in a part of the
    image counts, and the borders of the image do not.

    Args:
        pred: slices `(B, C, H, W)`; the power is summed over B and C.
        label: the truth, of the same shape; None measures `pred` itself.
        scale_factor: s, 2 or more.

    Returns:
        The ratio. It is 1 if there is no error, infinity if all power is at the frequencies of the lattice, and NaN if
        a side of the image is shorter than 8 s.

    Raises:
        ValueError: if the shapes differ or have no four axes, or if `scale_factor` is below 2.

    Source: Welch 1967, "The use of fast Fourier transform for the estimation of power spectra", for the mean over
    windows.
    """
    if pred.ndim != 4 or (label is not None and pred.shape != label.shape):
        shape = "nothing" if label is None else tuple(label.shape)
        raise ValueError(f"pred has shape {tuple(pred.shape)} and label {shape}; give both the same (B, C, H, W)")
    if scale_factor < 2:
        raise ValueError(f"scale_factor is {scale_factor}; a lattice needs 2 or more")
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
    """Return the steps (rows, columns) from the middle of a square to its edge."""
    side = range(-_RING, _RING + 1)
    return [(row, column) for row in side for column in side if max(abs(row), abs(column)) == _RING]
