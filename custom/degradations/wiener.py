"""The Wiener filter that enlarges an image: of all linear filters the one with the smallest mean squared error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from custom.errors import UsageError

__all__ = ["LEAST_NOISE", "WienerUpsampler", "wiener_statistics"]

#: About what rounding to 12 bits leaves of an image with data range 1; scans are stored in this way.
LEAST_NOISE = 1e-4


def wiener_statistics(
    pairs: Iterable[tuple[Tensor, Tensor]], scale_factor: Sequence[int], width: int
) -> dict[str, Tensor]:
    """Measure, over training images, what a Wiener filter is computed of.

    Each low-resolution voxel gives one observation: its neighbourhood of `width` voxels along each axis (mirrored at
    the borders), and the high-resolution voxels that it stands for, of which there are `prod(scale_factor)`. Work: the
    square of `width ** axes` multiply-adds for each low-resolution voxel.

    Args:
        pairs: low resolution `(B, C, *spatial)` and high resolution `(B, C, *larger)`, data range 1. A last
            low-resolution voxel that stands for fewer voxels than the scale gives no observation.
        scale_factor: high-resolution voxels to a low-resolution one, per spatial axis.
        width: odd.

    Returns:
        float64: "covariance" `(width ** axes, width ** axes)`, the mean product of two voxels of a neighbourhood, and
        "cross" `(prod(scale_factor), width ** axes)`, the mean product of a high-resolution voxel and one of them.

    Raises:
        UsageError: for a width that is not odd, or no images.
    """
    if width < 1 or width % 2 == 0:
        raise UsageError(f"width of the Wiener filter is {width}; give an odd number, such as 13")
    size, axes = width ** len(scale_factor), len(scale_factor)
    covariance = torch.zeros(size, size, dtype=torch.float64)
    cross = torch.zeros(prod(scale_factor), size, dtype=torch.float64)
    count = 0
    for lr, hr in pairs:
        around = _mirrored(lr.flatten(0, 1).double().cpu(), width // 2)
        whole = [n // s for n, s in zip(hr.shape[2:], scale_factor, strict=True)]
        truth = hr.flatten(0, 1).double().cpu()
        for axis, (n, s) in enumerate(zip(whole, scale_factor, strict=True), start=1):
            around = around.narrow(axis, 0, n + width - 1).unfold(axis, width, 1)
            truth = truth.narrow(axis, 0, n * s).unfold(axis, s, s)
        for row in range(whole[0]):  # all at once would take width ** axes times the memory of the image
            neighbours = around[:, row].flatten(-axes).flatten(0, -2)
            covariance += neighbours.T @ neighbours
            cross += truth[:, row].flatten(-axes).flatten(0, -2).T @ neighbours
            count += len(neighbours)
    if not count:
        raise UsageError("there are no images to fit a Wiener filter to")
    return {"covariance": covariance / count, "cross": cross / count}


class WienerUpsampler(nn.Module):
    """Enlarge images by the linear filter with the smallest mean squared error on the images of `wiener_statistics`.

    With y the neighbourhood of a low-resolution voxel, x the high-resolution voxels in it and n white noise, the
    weights w minimise `E |x - w (y + n)|^2` under the condition that they sum to 1, so that a flat image stays as it
    is: `w = (E[x y^T] + m 1^T) (E[y y^T] + noise^2)^-1` with the multiplier m that meets the condition. Each phase of
    the grid has its own filter. The filters undo the blur and the aliasing of the degradation as far as the spectrum of
    the training images and the noise allow; they are not tied to any form of either.

    `(B, C, *spatial)` to `(B, C, *(scale_factor * spatial))`, float32, on any device; borders are mirrored; nothing is
    trained.

    Args:
        statistics: as `wiener_statistics` returns them.
        scale_factor: per spatial axis.
        noise: standard deviation of the noise in the low-resolution image, data range 1, above 0.

    Raises:
        UsageError: when the noise is not above 0.

    Source: N. Wiener, "Extrapolation, Interpolation, and Smoothing of Stationary Time Series", 1949, for samples.
    """

    filters: Tensor

    def __init__(self, statistics: dict[str, Tensor], scale_factor: Sequence[int], noise: float = LEAST_NOISE) -> None:
        super().__init__()
        if not noise > 0:
            raise UsageError(f"noise of the Wiener filter is {noise}; give a number above 0")
        self.scale_factor = tuple(scale_factor)
        covariance, cross = statistics["covariance"], statistics["cross"]
        size = len(covariance)
        self.width = round(size ** (1 / len(self.scale_factor)))
        noisy = covariance + noise**2 * torch.eye(size, dtype=covariance.dtype)
        solved = torch.linalg.solve(noisy, torch.cat([cross, torch.ones_like(cross[:1])]).T).T
        free, ones = solved[:-1], solved[-1:]
        weights = free + (1 - free.sum(1, keepdim=True)) / ones.sum() * ones
        shape = (len(weights), 1, *[self.width] * len(self.scale_factor))
        self.register_buffer("filters", weights.reshape(shape).float(), persistent=False)

    @torch.no_grad()
    def forward(self, lr: Tensor) -> Tensor:
        """Enlarge `(B, C, *spatial)`."""
        around = _mirrored(lr.as_subclass(Tensor).float().flatten(0, 1), self.width // 2)[:, None]
        convolve = F.conv2d if len(self.scale_factor) == 2 else F.conv3d
        phases = convolve(around, self.filters.to(lr.device)).unflatten(1, self.scale_factor)
        # (B * C, s, s, n, n): each axis next to its phases, then joined with them.
        axes = len(self.scale_factor)
        order = [0, *(part for axis in range(1, axes + 1) for part in (axis + axes, axis))]
        sizes = [n * s for n, s in zip(lr.shape[2:], self.scale_factor, strict=True)]
        return phases.permute(order).reshape(*lr.shape[:2], *sizes)


def _mirrored(images: Tensor, reach: int) -> Tensor:
    """Continue `(N, *spatial)` at both ends of each axis with its mirror image: d c b a | a b c d | d c b a."""
    for axis in range(1, images.ndim):
        n = images.shape[axis]
        places = torch.arange(-reach, n + reach, device=images.device) % (2 * n)
        images = images.index_select(axis, torch.minimum(places, 2 * n - 1 - places))
    return images
