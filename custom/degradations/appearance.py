"""Random changes of a high-resolution image that make other scans of it: contrast, bias, size, sharpness."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from custom.degradations.kernels import keys_cubic
from custom.degradations.ranges import uniform

__all__ = ["bias_fields", "blurring_matrices", "changed_contrast", "shrinking_matrices", "smooth_curves"]

# Where the knots of a contrast curve lie, in units of the image.
_KNOTS = (0.0, 0.15, 0.3, 0.45, 0.6, 0.8, 1.0)
_STEEPEST = 2.5
# An inverted contrast leaves this much of what was brightest, as fat-suppressed tissue is seldom black.
_DARKEST = 0.05


def changed_contrast(image: Tensor, inverted: float = 0.25) -> Tensor:
    """Map the intensities of each image of a batch by a random curve, so that one contrast stands in for others.

    A curve is linear between knots, 0 at 0 (air stays dark) and at most 1. It rises with a slope of at most 2.5, as
    within one family of contrasts; or it is inverted: it rises steeply up to 0.15 and then falls, so that tissue that
    was bright becomes dark, as between T1 and T2.

    Args:
        image: `(B, C, *spatial)`, about 0..1.
        inverted: part of the images whose curve falls.

    Returns:
        A new tensor of the same shape.
    """
    count = len(image)
    knots = torch.tensor(_KNOTS)
    heights = torch.rand(count, len(_KNOTS) - 1).sort(dim=1).values
    way = torch.rand(count, 1)  # from no change to the random curve
    rising = (1 - way) * knots[1:] + way * heights / heights[:, -1:]
    falling = _DARKEST + (1 - _DARKEST) * heights.flip(1) / heights[:, -1:]
    falls = torch.rand(count) < inverted
    heights = torch.where(falls[:, None], falling, rising)
    slopes = torch.cat([torch.zeros(count, 1), heights], dim=1).diff(dim=1) / knots.diff()
    # An inverted curve has to rise from air to its brightest somewhere: below the first knot.
    steepest = torch.where(falls[:, None] & (knots[:-1] == 0), math.inf, _STEEPEST)
    slopes = slopes.clamp(-steepest, steepest)
    # Above the last knot a rising curve goes on, and a falling one stays.
    slopes = torch.cat([slopes, torch.where(falls, 0.0, slopes[:, -1])[:, None]], dim=1)
    # A broken line is a sum of hinges, one for each change of slope; below 0 it goes on with its first slope.
    turns = slopes.diff(dim=1).to(image)
    shape = (-1, *[1] * (image.ndim - 1))
    result = slopes[:, 0].to(image).reshape(shape) * image
    for number, knot in enumerate(_KNOTS[1:]):
        result.addcmul_((image - knot).clamp_(min=0), turns[:, number].reshape(shape))
    return result


def smooth_curves(count: int, size: int) -> Tensor:
    """Draw smooth curves along an axis: `a x + b (x^2 - 1/3)` for x from -1 to 1 and random a, b from -1 to 1.

    Returns:
        `(count, size)`, float32.
    """
    x = torch.linspace(-1, 1, size) if size > 1 else torch.zeros(1)
    linear, quadratic = (2 * torch.rand(2, count, 1) - 1).unbind(0)
    return linear * x + quadratic * (x**2 - 1 / 3)


def bias_fields(count: int, sizes: Sequence[int], strength: tuple[float, float]) -> list[Tensor]:
    """Draw smooth fields around 1, as receive coils leave them: products of one smooth curve along each axis.

    Args:
        count: how many.
        sizes: of the spatial axes.
        strength: range of the largest exponent: 0.3 lets a field reach from 0.74 to 1.35.

    Returns:
        For each axis the factor `(count, size)`, above 0; the field is their product.

    Source: the logarithm of the field as a polynomial of second order, as in B. Likar et al., "Retrospective correction
    of MR intensity inhomogeneity by information minimization", 2001.
    """
    amount = uniform(*strength, count)[:, None] / len(sizes)
    curves = [smooth_curves(count, size) for size in sizes]
    return [torch.exp(amount * curve / curve.abs().amax(1, keepdim=True).clamp(min=1e-6)) for curve in curves]


def shrinking_matrices(factors: Tensor, size: int, result: int) -> Tensor:
    """Build matrices that shrink the middle of an axis by any factor from 1 on, without aliasing.

    The centre of the axis stays the centre. The cubic kernel (Keys, a = -0.5) is widened by the factor and its weights
    divided by their sum; factor 1 at sizes of the same parity is the plain crop.

    Args:
        factors: `(B,)`, at most `size / result`.
        size: of the axis.
        result: of the shrunk axis.

    Returns:
        `(B, result, size)`, float32.
    """
    centres = (torch.arange(result) - (result - 1) / 2) * factors[:, None] + (size - 1) / 2
    distance = (torch.arange(size) - centres[:, :, None]) / factors[:, None, None]
    weights = torch.from_numpy(keys_cubic(distance.double().numpy()))
    return (weights / weights.sum(2, keepdim=True)).float()


def blurring_matrices(sigmas: Tensor, size: int) -> Tensor:
    """Build matrices that blur an axis by a Gaussian.

    Args:
        sigmas: `(B,)`, standard deviations in voxels, above 0.
        size: of the axis.

    Returns:
        `(B, size, size)`, float32; each row sums to 1, also where the Gaussian reaches beyond the axis.
    """
    place = torch.arange(size)
    weights = torch.exp(-0.5 * ((place[:, None] - place) / sigmas[:, None, None]) ** 2)
    return weights / weights.sum(2, keepdim=True)
