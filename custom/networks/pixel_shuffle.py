"""Pixel shuffle in two and three dimensions, and the start at which it leaves no lattice."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from custom.errors import UsageError

__all__ = ["PixelShuffle", "initialise_icnr"]


class PixelShuffle(nn.Module):
    """Rearrange channels into space: `(B, C * s**d, *spatial)` to `(B, C, *(s * spatial))`, d = 2 or 3.

    The channels of one output channel lie together, the last axis runs fastest, as in `torch.nn.PixelShuffle`, of
    which this is the form for both dimensions.

    Args:
        spatial_dims: d.
        scale_factor: s.

    Raises:
        UsageError: for other dimensions.

    Source: Shi et al. 2016, "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
    Convolutional Neural Network", equation 4.
    """

    def __init__(self, spatial_dims: int, scale_factor: int) -> None:
        super().__init__()
        if spatial_dims not in (2, 3):
            raise UsageError(f"spatial_dims is {spatial_dims}; choose 2 or 3")
        self.spatial_dims = spatial_dims
        self.scale_factor = scale_factor

    def forward(self, image: Tensor) -> Tensor:
        """Rearrange `(B, C * s**d, *spatial)`; the number of channels must be a multiple of s**d."""
        s = self.scale_factor
        if self.spatial_dims == 2:
            return nn.functional.pixel_shuffle(image, s)
        batch, channels = image.shape[0], image.shape[1] // (s * s * s)
        i, j, k = image.shape[2], image.shape[3], image.shape[4]
        phases = image.reshape(batch, channels, s, s, s, i, j, k)
        return phases.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(batch, channels, s * i, s * j, s * k)

    def extra_repr(self) -> str:
        """Show the dimensions and the scale."""
        return f"spatial_dims={self.spatial_dims}, scale_factor={self.scale_factor}"


@torch.no_grad()
def initialise_icnr(
    convolution: nn.Conv2d | nn.Conv3d,
    scale_factor: int,
    initialise: Callable[[Tensor], Tensor] = nn.init.xavier_uniform_,
) -> None:
    """Give all phases of a pixel shuffle the same kernel, so that a training starts without a lattice.

    Convolution and shuffle together are then nearest-neighbour enlargement of one convolution.

    Args:
        convolution: the one before the shuffle; its output channels are a multiple of s**d. Its bias becomes zero.
        scale_factor: s of the shuffle.
        initialise: fills the kernel `(output channels / s**d, input channels, *kernel)` in place.

    Raises:
        UsageError: when the output channels cannot be shuffled.

    Source: Aitken et al. 2017, "Checkerboard artifact free sub-pixel convolution", section 3 (ICNR).
    """
    phases = scale_factor ** (convolution.weight.ndim - 2)
    if convolution.out_channels % phases:
        raise UsageError(f"{convolution.out_channels} channels cannot be shuffled by {scale_factor}: no multiple of it")
    kernel = torch.empty_like(convolution.weight[::phases])
    initialise(kernel)
    convolution.weight.copy_(kernel.repeat_interleave(phases, dim=0))
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
