"""Image quality against a target: PSNR, MAE, SSIM, HFEN and consistency, and a function for all of them.

Shapes: (B, C, *spatial) with 2 or 3 spatial axes, data range 1. Each figure is over the voxels of all B and C together;
the channels are the frames of a scan. A volume for a 2D network is passed as its slices in the batch axis
(`custom.arrays.slices.volume_to_slices`), so that the windows of SSIM and HFEN are two-dimensional.

A mask (bool or 0 and 1, of a shape that broadcasts to the image) limits a figure to its voxels. The windows of SSIM and
HFEN at the edge of the mask still read the image outside. An empty mask gives NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from custom.arrays.mapped import release
from custom.degradations import Degradation
from custom.errors import InputError, UsageError
from custom.metrics.filters import (
    filter_axis,
    gaussian_taps,
    laplacian_of_gaussian,
    pieces,
    sum_double,
    widen,
)
from custom.metrics.lpips import LPIPS

__all__ = ["METRICS", "consistency", "crop", "hfen", "image_metrics", "largest_inconsistency", "mae", "psnr", "ssim"]

#: The keys of `image_metrics` for the whole image. All but "lpips" are there with `_foreground` too.
METRICS = ("psnr", "ssim", "mae", "hfen", "lpips")

_MIN_MSE = 1e-10
_SSIM_WINDOW, _SSIM_SIGMA = 11, 1.5
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2
_HFEN_TAPS, _HFEN_SIGMA = 15, 1.5


def psnr(pred: Tensor, target: Tensor, mask: Tensor | None = None) -> float:
    """Return the peak signal-to-noise ratio in dB, -10 log10(mean squared error).

    The mean squared error is set to 1e-10 if it is below. So identical images give 100 dB and means over images are
    finite.
    """
    pred, target, mask = _checked(pred, target, mask)
    mse = _mean((pred - target).square_(), mask)
    return -10 * math.log10(max(mse, _MIN_MSE)) if math.isfinite(mse) else math.nan


def mae(pred: Tensor, target: Tensor, mask: Tensor | None = None) -> float:
    """Return the mean absolute error, in units of the data range."""
    pred, target, mask = _checked(pred, target, mask)
    return _mean((pred - target).abs_(), mask)


def ssim(pred: Tensor, target: Tensor, mask: Tensor | None = None) -> float:
    """Return the mean structural similarity; the window has as many axes as the image, 2 or 3.

    The window is a Gaussian of 11 voxels and sigma 1.5; K1 = 0.01, K2 = 0.03, population covariance. The mean is over
    the positions at which the whole window lies in the image; with a mask, over those of them that are in the mask. On
    an axis shorter than 11 the window is the largest odd one that fits. Constant, equal images give 1.

    Source: Wang et al. 2004, equation 13. The result equals that of `monai.metrics.SSIMMetric`, and that of
    scikit-image with `gaussian_weights` where the whole window lies in the image.
    """
    pred, target, mask = _checked(pred, target, mask)
    whole, inside = _ssim_means(pred, target, mask)
    return whole if mask is None else inside


def hfen(pred: Tensor, target: Tensor, mask: Tensor | None = None) -> float:
    """Return the high-frequency error norm, |LoG(pred - target)| / |LoG(target)|.

    LoG is the Laplacian of Gaussian with 15 weights along an axis and sigma 1.5 voxels; the values at the border of the
    image are repeated outside. The norms are over the voxels of all slices together, or over those in the mask, so an
    empty slice does no harm. Equal images give 0. A target without any detail gives NaN if `pred` differs from it.

    Source: Ravishankar and Bresler 2011, section IV, there without the division by the norm of the target.
    """
    pred, target, mask = _checked(pred, target, mask)
    whole, inside = _hfen_ratios(pred, target, mask)
    return whole if mask is None else inside


def consistency(sr: Tensor, lr: Tensor, degrade: Callable[[Tensor], Tensor]) -> float:
    """Return the root mean squared difference between a result, degraded again, and the input that it was made from.

    Args:
        sr: the result, (B, C, *spatial).
        lr: the input, (B, C, *spatial), smaller by the scale factor.
        degrade: the degradation from the shape of `sr` to the shape of `lr`.

    Returns:
        The difference, in units of the data range.

    Raises:
        ValueError: if `degrade(sr)` has another shape than `lr`.
    """
    again = degrade(sr)
    if again.shape != lr.shape:
        raise ValueError(f"degrade(sr) has shape {tuple(again.shape)}, but lr {tuple(lr.shape)}")
    return math.sqrt(_mean((again.float() - lr.float()).square_(), None))


def largest_inconsistency(sr: Tensor, lr: Tensor, degradation: Degradation) -> float:
    """Return the largest difference between a result, degraded again, and the input that it was made from.

    The difference in each image (a slice, or a volume where the degradation is one of volumes) is divided by the
    intensity scale, or by the image's brightest voxel if that is brighter: beside a bright vessel a network is off by
    part of its value. One image after another is degraded, so that little memory is in use.

    Args:
        sr: the result, (B, C, *spatial), in units of the intensity scale.
        lr: the input, (B, C, *spatial), in the same units.
        degradation: that the result was made for.

    Returns:
        The difference; NaN if there is a NaN in the result.

    Raises:
        ValueError: if the result, degraded again, has another shape than the input.
    """
    largest = lr.new_zeros(())
    for channel in range(lr.shape[1]):
        images = (degradation.independent_images(image[:, channel : channel + 1]) for image in (sr, lr))
        for high, low in zip(*images, strict=True):
            again = degradation(high[None])[0]
            if again.shape != low.shape:
                raise ValueError(f"the result has shape {tuple(sr.shape)}, which does not fit lr {tuple(lr.shape)}")
            largest = torch.maximum(largest, (again - low).abs().max() / low.abs().max().clamp(min=1))
            release(high)
    return float(largest)


def image_metrics(
    pred: Tensor,
    target: Tensor,
    mask: Tensor | None = None,
    *,
    lpips: LPIPS | None = None,
    slice_axis: int = -1,
    crop_border: int | Sequence[int] = 0,
) -> dict[str, float]:
    """Return all figures of an image: those of `METRICS`, and all but "lpips" in the foreground.

    Args:
        pred: (B, C, *spatial), 2 or 3 spatial axes.
        target: of the same shape.
        mask: the foreground; without it the figures in the foreground are NaN.
        lpips: the network; without it "lpips" is NaN.
        slice_axis: the spatial axis across the slices that LPIPS reads, if there are three spatial axes.
        crop_border: see `crop`.

    Returns:
        "psnr" in dB, "ssim", "mae", "hfen", "lpips", and "psnr_foreground", "ssim_foreground", "mae_foreground",
        "hfen_foreground".

    Raises:
        UsageError, InputError: as `crop`.
    """
    pred, target, mask = _checked(pred, target, mask)
    pred, target = crop(pred, crop_border), crop(target, crop_border)
    mask = None if mask is None else crop(mask, crop_border)
    nothing = torch.zeros((1,) * pred.ndim, dtype=torch.bool, device=pred.device)
    inside = nothing if mask is None else mask
    ssim_whole, ssim_inside = _ssim_means(pred, target, mask)
    hfen_whole, hfen_inside = _hfen_ratios(pred, target, mask)
    return {
        "psnr": psnr(pred, target),
        "ssim": ssim_whole,
        "mae": mae(pred, target),
        "hfen": hfen_whole,
        "lpips": math.nan if lpips is None else lpips.of_images(pred, target, slice_axis),
        "psnr_foreground": psnr(pred, target, inside),
        "ssim_foreground": ssim_inside,
        "mae_foreground": mae(pred, target, inside),
        "hfen_foreground": hfen_inside,
    }


def crop(image: Tensor, border: int | Sequence[int]) -> Tensor:
    """Cut the border off an image.

    Args:
        image: (B, C, *spatial).
        border: the number of voxels to cut off at both ends of each spatial axis: one number for all axes, or one for
            each.

    Raises:
        UsageError: if a number is negative, or there are not as many numbers as spatial axes.
        InputError: if nothing of the image remains.
    """
    spatial = image.shape[2:]
    borders = (border,) * len(spatial) if isinstance(border, int) else tuple(border)
    if len(borders) != len(spatial) or min(borders) < 0:
        raise UsageError(f"crop_border is {border}; give one number, or {len(spatial)} (one an axis), 0 or more")
    if any(2 * width >= size for width, size in zip(borders, spatial, strict=True)):
        raise InputError(
            f"crop_border is {border}, and nothing of an image of {tuple(spatial)} voxels remains; give a smaller one"
        )
    for axis, width in enumerate(borders, start=2):
        image = image.narrow(axis, width, image.shape[axis] - 2 * width)
    return image


def _checked(pred: Tensor, target: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    if pred.shape != target.shape or pred.ndim not in (4, 5):
        raise ValueError(
            f"pred has shape {tuple(pred.shape)} and target {tuple(target.shape)}; give both the same (B, C, *spatial)"
        )
    if mask is not None:
        mask = mask.to(device=pred.device, dtype=torch.bool).expand(pred.shape)
    return pred.float(), target.float(), mask


def _mean(values: Tensor, mask: Tensor | None) -> float:
    if mask is None:
        return sum_double(values) / values.numel()
    inside = values[mask]
    return sum_double(inside) / inside.numel() if inside.numel() else math.nan


def _ssim_means(pred: Tensor, target: Tensor, mask: Tensor | None) -> tuple[float, float]:
    """Return the mean of the SSIM map where the whole window lies in the image: of all of it, and in the mask."""
    windows = [min(_SSIM_WINDOW, n if n % 2 else n - 1) for n in pred.shape[2:]]
    taps = [gaussian_taps(_SSIM_SIGMA, window) for window in windows]
    valid = [n - w + 1 for n, w in zip(pred.shape[2:], windows, strict=True)]
    total, inside, count = 0.0, 0.0, 0
    for items, rows in pieces((*pred.shape[:2], *valid)):
        wide = widen(rows, windows[0] - 1)
        similarity = _ssim_map(pred[items, :, wide], target[items, :, wide], taps)
        total += sum_double(similarity)
        if mask is not None:
            part = mask[items]
            for axis, (window, size) in enumerate(zip(windows, valid, strict=True), start=2):
                part = part.narrow(axis, window // 2, size)
            part = part[:, :, rows]
            inside += sum_double(similarity.masked_fill_(~part, 0))
            count += int(part.sum())
    return total / (math.prod(pred.shape[:2]) * math.prod(valid)), inside / count if count else math.nan


def _ssim_map(x: Tensor, y: Tensor, taps: Sequence[Sequence[float]]) -> Tensor:
    def smooth(image: Tensor) -> Tensor:
        for axis, axis_taps in enumerate(taps, start=2):
            image = filter_axis(image, axis_taps, axis)
        return image

    mean_x, mean_y = smooth(x), smooth(y)
    xx, yy, xy = mean_x.square(), mean_y.square(), mean_x * mean_y
    # SSIM needs only the sum of the variances, so the sum of the squares is smoothed once.
    variances = smooth(x.square().addcmul_(y, y)).sub_(xx).sub_(yy)
    covariance = smooth(x * y).sub_(xy)
    luminance = xy.mul_(2).add_(_SSIM_C1).div_(xx.add_(yy).add_(_SSIM_C1))
    return covariance.mul_(2).add_(_SSIM_C2).div_(variances.add_(_SSIM_C2)).mul_(luminance)


def _hfen_ratios(pred: Tensor, target: Tensor, mask: Tensor | None) -> tuple[float, float]:
    """Return HFEN over all voxels, and over the voxels in the mask."""
    radius = _HFEN_TAPS // 2
    sums = [0.0] * 4
    for items, rows in pieces(pred.shape):
        # The filter reads rows beyond the piece: from the image, and beyond the image its border, repeated.
        first, last = max(0, rows.start - radius), min(pred.shape[2], rows.stop + radius)
        missing = (first - (rows.start - radius), rows.stop + radius - last)
        margins = [radius] * (2 * (pred.ndim - 3)) + list(missing)
        truth, guess = target[items, :, first:last], pred[items, :, first:last]
        for offset, image in ((0, guess - truth), (2, truth)):
            padded = F.pad(image, margins, mode="replicate")
            squared = laplacian_of_gaussian(padded, _HFEN_SIGMA, _HFEN_TAPS).square_()
            sums[offset] += sum_double(squared)
            if mask is not None:
                sums[offset + 1] += sum_double(squared.masked_fill_(~mask[items, :, rows], 0))
    whole = _ratio(sums[0], sums[2])
    return whole, _ratio(sums[1], sums[3]) if mask is not None and bool(mask.any()) else math.nan


def _ratio(error: float, reference: float) -> float:
    if reference > 0:
        return math.sqrt(error / reference)
    return 0.0 if error == 0 else math.nan
