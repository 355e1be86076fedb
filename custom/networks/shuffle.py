"""Voxels to channels and back, with a factor for each axis."""

from collections.abc import Sequence

from torch import Tensor, nn

__all__ = ["ChannelsToVoxels", "VoxelsToChannels"]


class VoxelsToChannels(nn.Module):
    """Take blocks of voxels as channels: `(B, C, *(f * spatial))` to `(B, C * prod(f), *spatial)`.

    The inverse of `ChannelsToVoxels`; with one factor for all axes it is the pixel unshuffle of MONAI and PyTorch.

    Args:
        factors: f, one for each spatial axis (2 or 3).
    """

    def __init__(self, factors: Sequence[int]) -> None:
        super().__init__()
        self.factors = list(factors)

    def forward(self, image: Tensor) -> Tensor:
        """Rearrange `(B, C, *spatial)`, whose sizes are multiples of the factors."""
        batch, channels = image.shape[0], image.shape[1]
        split = [batch, channels]
        phases: list[int] = []
        places: list[int] = []
        sizes = [batch, channels]
        for axis, factor in enumerate(self.factors):
            size = image.shape[axis + 2] // factor
            split += [size, factor]
            sizes.append(size)
            sizes[1] = sizes[1] * factor
            places.append(2 + 2 * axis)
            phases.append(3 + 2 * axis)
        order = [0, 1] + phases + places  # noqa: RUF005, torch.jit.script does not read [*...]
        return image.reshape(split).permute(order).reshape(sizes)


class ChannelsToVoxels(nn.Module):
    """Take channels as blocks of voxels: `(B, C * prod(f), *spatial)` to `(B, C, *(f * spatial))`.

    With one factor for all axes it is the pixel shuffle of MONAI and PyTorch.

    Args:
        factors: f, one for each spatial axis (2 or 3).

    Source: Shi et al. 2016, "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
    Convolutional Neural Network".
    """

    def __init__(self, factors: Sequence[int]) -> None:
        super().__init__()
        self.factors = list(factors)

    def forward(self, image: Tensor) -> Tensor:
        """Rearrange `(B, C * prod(f), *spatial)`."""
        batch, channels, axes = image.shape[0], image.shape[1], len(self.factors)
        for factor in self.factors:
            channels = channels // factor
        split = [batch, channels] + self.factors + list(image.shape[2:])  # noqa: RUF005
        order = [0, 1]
        sizes = [batch, channels]
        for axis, factor in enumerate(self.factors):
            order += [2 + axes + axis, 2 + axis]
            sizes.append(image.shape[axis + 2] * factor)
        return image.reshape(split).permute(order).reshape(sizes)
