"""The classical methods: interpolations that need no network, and which of them is the best."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean

import torch
from torch import Tensor

from custom.degradations import UPSAMPLING_METHODS, Degradation, WienerFilter
from custom.metrics import psnr

__all__ = ["CLASSICAL_METHODS", "WIENER", "BestClassical", "Interpolation", "best_classical", "classical_methods"]

#: The name of the Wiener filter among the methods.
WIENER = "wiener"

#: The names of all classical methods, in the order of the tables.
CLASSICAL_METHODS = (*UPSAMPLING_METHODS, WIENER)

#: From a low-resolution scan (1, frames, *spatial) to one of the given spatial shape.
Interpolation = Callable[[Tensor, Sequence[int]], Tensor]


@dataclass(frozen=True)
class BestClassical:
    """The classical method with the highest mean PSNR over subjects that are not those of the table.

    Attributes:
        method: its name.
        validation_psnr: by method, in dB.
        subjects: how many they are.
    """

    method: str
    validation_psnr: Mapping[str, float]
    subjects: int


def classical_methods(degradation: Degradation, wiener: WienerFilter | None = None) -> dict[str, Interpolation]:
    """Return the classical methods by name, in the order of the tables.

    Args:
        degradation: of scans, on whose grid they interpolate; a 2D one within `SliceBySlice`.
        wiener: of the same degradation; None leaves it out.
    """

    def upsample(method: str, lr: Tensor, size: Sequence[int]) -> Tensor:
        return degradation.upsample(lr, method, size)

    def filtered(network: WienerFilter, lr: Tensor, size: Sequence[int]) -> Tensor:
        image = degradation.by_image(network, lr)
        for axis, n in enumerate(size, start=2):
            image = image.narrow(axis, 0, n)
        return image

    methods: dict[str, Interpolation] = {name: partial(upsample, name) for name in UPSAMPLING_METHODS}
    return methods if wiener is None else methods | {WIENER: partial(filtered, wiener)}


@torch.no_grad()
def best_classical(
    scans: Iterable[tuple[str, Tensor, Tensor]], methods: Mapping[str, Interpolation]
) -> BestClassical | None:
    """Find the best classical method on the scans of validation subjects, so that the test subjects do not choose it.

    Args:
        scans: the subject, low resolution and high resolution (1, frames, *spatial), data range 1.
        methods: as `classical_methods` returns them.

    Returns:
        The method with the highest mean PSNR over subjects; None if there is no scan.
    """
    figures: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in methods}
    for subject, lr, hr in scans:
        for name, enlarge in methods.items():
            figures[name][subject].append(psnr(enlarge(lr, hr.shape[2:]), hr))
    means = {name: fmean(map(fmean, found.values())) for name, found in figures.items() if found}
    if not means:
        return None
    return BestClassical(max(means, key=means.__getitem__), means, len(next(iter(figures.values()))))
