"""The comparison of networks with the classical methods on one scan."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from custom.degradations import Degradation, WienerFilter
from custom.evaluation.classical import Interpolation, classical_methods
from custom.evaluation.summary import Row
from custom.metrics import LPIPS, checkerboard, consistency, image_metrics, zscore_metrics

__all__ = ["MODEL", "Comparison", "Prediction", "compare", "device_clock"]

#: The name of an evaluator's own network among the methods.
MODEL = "model"


@dataclass(frozen=True)
class Prediction:
    """A network's result (1, frames, *spatial), and how long it took in seconds (NaN: not known)."""

    image: Tensor
    seconds: float = math.nan


@dataclass(frozen=True)
class Comparison:
    """The figures of each method on one scan, and the images that they are of.

    Attributes:
        rows: one for each method.
        images: by method, (1, frames, *spatial).
        slice_axis: along which volumes among them are read as pictures.
    """

    rows: list[Row]
    images: dict[str, Tensor]
    slice_axis: int


@torch.no_grad()
def compare(
    subject: str,
    lr: Tensor,
    hr: Tensor,
    predictions: Mapping[str, Prediction],
    degradation: Degradation,
    *,
    wiener: WienerFilter | None = None,
    mask: Tensor | None = None,
    crop_border: int | Sequence[int] = 0,
    lpips: LPIPS | None = None,
    zscore: bool = False,
    lattice: bool = False,
) -> Comparison:
    """Measure the classical methods of a degradation and the results of networks on one scan.

    SSIM and HFEN are by slice where the degradation acts slice by slice, and in 3D where it acts in 3D. With several
    frames (cine phases, echoes) each is treated by itself, and every figure is over all of them together.
    Memory: the images of all methods, and about 200 MB.

    Args:
        subject: whose scan it is.
        lr: (1, frames, *spatial), what the networks were given.
        hr: (1, frames, *spatial), the truth, data range 1.
        predictions: by name; larger ones are cut to the size of `hr`.
        degradation: what made `lr` of `hr`; a 2D one within `SliceBySlice`.
        wiener: the Wiener filter of the degradation; None leaves its row out.
        mask: the foreground, of each frame or one for all; without it the `_foreground` figures are NaN.
        crop_border: HR voxels to leave out at each side, the same for all methods; where the degradation acts
            slice by slice, at each side of the slices.
        lpips: the network; without it the figure is NaN.
        zscore: whether to add "psnr_zscore" and "ssim_zscore"; see `custom.metrics.zscore_metrics`.
        lattice: whether to add "checkerboard", of slices enlarged alike along both axes; see
            `custom.metrics.checkerboard`.

    Returns:
        A row for each of `classical_methods`, and for each prediction.
    """
    label = degradation.independent_images(hr)
    foreground = None if mask is None else degradation.independent_images(mask)
    rows: list[Row] = []
    images: dict[str, Tensor] = {}
    methods: dict[str, Interpolation | Prediction] = {**classical_methods(degradation, wiener), **predictions}
    for method, result in methods.items():
        if isinstance(result, Prediction):
            image, seconds = result.image[tuple(slice(n) for n in hr.shape)].float(), result.seconds
        else:
            start = device_clock(lr)
            image = result(lr, hr.shape[2:])
            seconds = device_clock(lr) - start
        pred = degradation.independent_images(image)
        figures = image_metrics(
            pred, label, foreground, lpips=lpips, slice_axis=degradation.slice_axis, crop_border=crop_border
        )
        figures |= {"consistency": consistency(image, lr, degradation), "seconds": seconds}
        if zscore:
            figures |= zscore_metrics(pred, label, crop_border)
        if lattice:
            figures["checkerboard"] = _checkerboard(pred, label, degradation)
        rows.append({"subject": subject, "method": method, **figures})
        images[method] = image
    return Comparison(rows, images, degradation.slice_axis)


def device_clock(image: Tensor) -> float:
    """Return the time in seconds, when the device of an image has done its work."""
    if image.is_cuda:
        torch.cuda.synchronize(image.device)
    return time.perf_counter()


def _checkerboard(image: Tensor, label: Tensor, degradation: Degradation) -> float:
    """Measure the lattice of slices, where there is one."""
    scale = degradation.grid_for(image.ndim - 2).scale
    has_one = len(scale) == 2 and len(set(scale)) == 1 and scale[0] > 1
    return checkerboard(image, label, scale[0]) if has_one else math.nan
