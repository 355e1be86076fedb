"""Low-resolution images whose enlargement is known: flat ones with and without noise, an edge, a ramp."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from custom.degradations import Degradation

__all__ = ["LEVEL", "phantom_figures", "phantoms", "shift_error"]

#: The intensity of flat phantoms, the height of the edge and of the ramp.
LEVEL = 1000.0

_SIDE, _SLICES = 64, 5
_NOISES = (0.01, 0.03, 0.05)
# Low-resolution voxels at each border that are left out, as the borders of flat images are not what is tried.
_BORDER = 6


def phantoms(degradation: Degradation) -> dict[str, Tensor]:
    """Return phantoms by name, each (1, 1, *spatial) as a scan of low resolution.

    The noise is Rician and drawn by torch's generator. Edge and ramp lie across the first axis that is sharpened: one
    that is enlarged, or any where the grid is kept.

    Args:
        degradation: of scans; its axes that are not sharpened have 5 voxels, the others 64.
    """
    shape = (1, 1, *(_SIDE if sharpened else _SLICES for sharpened in _sharpened(degradation)))
    axis = _axis(degradation)
    place = torch.arange(_SIDE).reshape([-1 if a == axis else 1 for a in range(len(shape))]).expand(shape)
    flat = torch.full(shape, LEVEL)
    noisy = {f"flat, {100 * part:g} % noise": _rician(flat, part * LEVEL) for part in _NOISES}
    return {
        "flat": flat,
        **noisy,
        "edge": LEVEL * (place >= _SIDE // 2).float(),
        "ramp": LEVEL * place.float() / (_SIDE - 1),
    }


def phantom_figures(name: str, result: Tensor, degradation: Degradation) -> dict[str, float]:
    """Measure the enlargement of a phantom.

    Args:
        name: as in `phantoms`.
        result: (1, 1, *spatial), enlarged.
        degradation: of scans.

    Returns:
        "mean" and "sd" of flat ones, away from the borders; "overshoot_percent" of the edge: how far the result is
        outside of its two sides, in percent of its height; "ramp_error_percent": the largest distance from the ramp,
        in percent of its height; "lowest" and "highest" of all.
    """
    found = {"lowest": float(result.min()), "highest": float(result.max())}
    inner = result[_window(degradation)].double()  # float32 loses the mean of many voxels
    if name.startswith("flat"):
        found |= {"mean": float(inner.mean()), "sd": float(inner.std())}
    elif name == "edge":
        found["overshoot_percent"] = 100 * max(found["highest"] - LEVEL, -found["lowest"]) / LEVEL
    elif name == "ramp":
        axis = _axis(degradation)
        scale, offset = degradation.scale_factor[axis - 2], degradation.grid.offset[axis - 2]
        place = (torch.arange(_SIDE * scale) - offset) / scale
        truth = (LEVEL * place / (_SIDE - 1)).reshape([-1 if a == axis else 1 for a in range(result.ndim)])
        truth = truth.expand(result.shape)[_window(degradation)]
        found["ramp_error_percent"] = 100 * float((inner - truth).abs().max()) / LEVEL
    return found


def shift_error(enlarge: Callable[[Tensor], Tensor], lr: Tensor, result: Tensor) -> float:
    """Return how far the enlargement of an image less 5 % of `LEVEL` is from its enlargement less that.

    Args:
        enlarge: the method.
        lr: the image.
        result: its enlargement.

    Returns:
        The largest difference in percent of `LEVEL`.
    """
    shift = 0.05 * LEVEL
    return 100 * float((enlarge(lr - shift) - (result - shift)).abs().max()) / LEVEL


def _axis(degradation: Degradation) -> int:
    """Return the array axis of `(B, C, *spatial)` across which edge and ramp lie."""
    return 2 + _sharpened(degradation).index(True)


def _sharpened(degradation: Degradation) -> list[bool]:
    """Say which axes a network sharpens: those that are enlarged, or all where none is."""
    return [s > 1 or degradation.keeps_grid for s in degradation.scale_factor]


def _window(degradation: Degradation) -> tuple[slice, ...]:
    inner = [
        slice(_BORDER * s, -_BORDER * s) if sharpened else slice(None)
        for s, sharpened in zip(degradation.scale_factor, _sharpened(degradation), strict=True)
    ]
    return (slice(None), slice(None), *inner)


def _rician(image: Tensor, deviation: float) -> Tensor:
    real, imaginary = deviation * torch.randn(2, *image.shape)
    return torch.hypot(image + real, imaginary)
