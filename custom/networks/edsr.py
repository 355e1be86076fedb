"""The enhanced deep residual network, in 2D and 3D."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
import torch.nn.functional as F
from monai.utils import ensure_tuple_rep
from torch import Tensor, nn

from custom.errors import UsageError
from custom.networks.architecture import store_architecture
from custom.networks.gates import ImageGates, weigh
from custom.networks.shuffle import ChannelsToVoxels, VoxelsToChannels
from custom.networks.zero_sum import ZeroSumConv2d, ZeroSumConv3d

__all__ = ["EDSR"]


class EDSR(nn.Module):
    """Sharpen or enlarge images: residual blocks without batch norm, and a sub-pixel convolution at the end.

    Input `(B, in_channels, *spatial)`, output `(B, out_channels, *(s * spatial))` on the pixel-centre grid; any sizes;
    values about 0..1. All convolutions are of 3 voxels along each axis. The enlargement is one convolution to
    `out_channels * prod(s)` channels, which are then shuffled into space; at s = 1 it is the plain last convolution.
    2,105,985 parameters with the defaults.

    `unshuffle` u moves the blocks to a grid that is u times coarser along each axis: the first convolution sees the
    `prod(u)` voxels of a block as channels, so nothing is lost, and the last one gives them back. An image that is
    blurred over several voxels has hardly more to see on the fine grid. It costs `prod(u)` times less and reaches u
    times farther. Images whose sizes u does not divide are continued with their last voxel and cropped again.

    Args:
        spatial_dims: 2 or 3.
        in_channels: of the image.
        out_channels: of the result.
        scale_factor: s, one whole number, or one for each axis; 1 keeps the grid.
        features: channels of the blocks.
        blocks: how many residual blocks.
        residual_scaling: what the branch of each block is multiplied by.
        long_skip: whether a convolution follows the blocks and the first convolution's output is added to it.
        unshuffle: u, one whole number, or one for each axis; 1 is the published form.
        icnr: start the last convolution so that the voxels of a block are alike, which avoids checkerboards.
        skip: a module that enlarges the image (of `out_channels` channels) by classical interpolation, or keeps it;
            the network then learns what is missing. None is the published form.
        equivariant: no biases, and a first layer whose kernels sum to 0, so that f(a x + b) = a f(x) + b for a > 0
            (see `ZeroSumConv3d`). It needs a skip. False is the published form.
        gated: the hidden channels of each block are multiplied by factors that statistics of the whole image give (see
            `ImageGates`). False is the published form.

    Attributes:
        receptive_radius: input voxels to each side, per axis, that an output voxel depends on, the skip excepted.
        alignment: a tile of an image has to start at a multiple of these many voxels, per axis.

    Raises:
        UsageError: for an argument that is none of these, or options that do not go together.

    Source: Lim et al. 2017, "Enhanced Deep Residual Networks for Single Image Super-Resolution", in the 3D form of
    jamesgolden1/mri_super_resolution, which keeps the grid. The coarser grid: Wang et al. 2021, "Real-ESRGAN", of the
    input. ICNR: Aitken et al. 2017, "Checkerboard artifact free sub-pixel convolution".
    """

    def __init__(
        self,
        spatial_dims: int = 3,
        in_channels: int = 1,
        out_channels: int = 1,
        scale_factor: int | Sequence[int] = 1,
        features: int = 64,
        blocks: int = 9,
        residual_scaling: float = 1.0,
        long_skip: bool = True,
        unshuffle: int | Sequence[int] = 1,
        icnr: bool = False,
        skip: nn.Module | None = None,
        equivariant: bool = False,
        gated: bool = False,
    ) -> None:
        super().__init__()
        if spatial_dims not in (2, 3):
            raise UsageError(f"spatial_dims is {spatial_dims}; choose 2 or 3")
        scale = _factors("scale_factor", scale_factor, spatial_dims)
        coarser = _factors("unshuffle", unshuffle, spatial_dims)
        for name, number in {"features": features, "blocks": blocks}.items():
            if number < 1:
                raise UsageError(f"{name} is {number}; give 1 or more")
        if equivariant and skip is None:
            raise UsageError("equivariant is true and skip is null; the skip is what keeps the mean of the image")
        self.alignment = coarser
        self.receptive_radius = tuple(u * (2 * blocks + (3 if long_skip else 2)) + u - 1 for u in coarser)
        store_architecture(
            self,
            f"EDSR {spatial_dims}D x{scale}, unshuffle {coarser}, {in_channels} to {out_channels} channels, "
            f"{blocks} blocks times {float(residual_scaling)}, {'long skip' if long_skip else 'no long skip'}, "
            f"{'residual of a skip' if skip is not None else 'no skip'}",
            equivariant=equivariant,
            gated=gated,
        )
        conv = nn.Conv2d if spatial_dims == 2 else nn.Conv3d
        bias = not equivariant
        gathered, spread = in_channels * prod(coarser), tuple(u * s for u, s in zip(coarser, scale, strict=True))
        self.to_channels = VoxelsToChannels(coarser)
        if equivariant:
            self.first: nn.Module = (ZeroSumConv2d if spatial_dims == 2 else ZeroSumConv3d)(gathered, features, 3)
        else:
            self.first = conv(gathered, features, 3, padding=1)
        self.body = nn.ModuleList(_Block(conv, features, residual_scaling, bias) for _ in range(blocks))
        self.closing = conv(features, features, 3, padding=1, bias=bias) if long_skip else None
        self.last = conv(features, out_channels * prod(spread), 3, padding=1, bias=bias)
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.Conv3d)):
                nn.init.kaiming_normal_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        if icnr:
            _start_alike(self.last, prod(spread))
        if skip is not None:
            # Training starts near the interpolation.
            with torch.no_grad():
                self.last.weight.mul_(0.1)
        self.to_voxels = ChannelsToVoxels(spread)
        self.gates = ImageGates(features, [features] * blocks) if gated else None
        self.skip = skip
        self.scale = list(scale)

    def forward(self, image: Tensor, description: Tensor | None = None) -> Tensor:
        """Enlarge `(B, in_channels, *spatial)` to `(B, out_channels, *(s * spatial))`.

        Args:
            image: the low-resolution image, or a tile of it.
            description: of the whole image, where `image` is a tile and the network is gated.
        """
        first = self.first(self._gathered(image))
        features = first
        if self.gates is None:
            for block in self.body:
                features = block(features)
        else:
            factors = self.gates(self.gates.describe(first) if description is None else description)
            for number, block in enumerate(self.body):
                features = block(features, factors[number])
        if self.closing is not None:
            features = self.closing(features) + first
        result = self.to_voxels(self.last(features))
        for axis, scale in enumerate(self.scale):
            result = result.narrow(axis + 2, 0, image.shape[axis + 2] * scale)
        if self.skip is not None:
            # Under autocast the residual comes in half precision; the sum is taken in the precision of the image.
            result = result.to(image.dtype) + self.skip(image)
        return result

    def describe(self, image: Tensor) -> Tensor | None:
        """Describe a whole image `(B, in_channels, *spatial)` for its tiles; None where the network is not gated."""
        return None if self.gates is None else self.gates.describe(self.first(self._gathered(image)))

    def _gathered(self, image: Tensor) -> Tensor:
        """Continue the image to multiples of `unshuffle`, and take its blocks as channels."""
        missing: list[int] = []
        for axis, factor in enumerate(self.to_channels.factors):
            missing = [0, -image.shape[axis + 2] % factor] + missing  # noqa: RUF005, for torch.jit.script
        if max(missing) > 0:
            image = F.pad(image, missing, mode="replicate")
        return self.to_channels(image)


class _Block(nn.Module):
    """Two convolutions with a ReLU between them, whose result is added to the input."""

    def __init__(self, conv: type[nn.Conv2d] | type[nn.Conv3d], features: int, scaling: float, bias: bool) -> None:
        super().__init__()
        self.conv1 = conv(features, features, 3, padding=1, bias=bias)
        self.conv2 = conv(features, features, 3, padding=1, bias=bias)
        self.scaling = float(scaling)

    def forward(self, x: Tensor, factor: Tensor | None = None) -> Tensor:
        """Add the branch, whose hidden channels are multiplied by `factor` `(B, features)`."""
        hidden = F.relu(self.conv1(x), inplace=True)
        if factor is not None:
            hidden = weigh(hidden, factor)
        return torch.add(x, self.conv2(hidden), alpha=self.scaling)


def _factors(name: str, value: int | Sequence[int], spatial_dims: int) -> tuple[int, ...]:
    """Return one whole number for each axis."""
    try:
        factors = tuple(ensure_tuple_rep(value, spatial_dims))
    except ValueError:
        factors = ()
    if not factors or not all(isinstance(f, int) and not isinstance(f, bool) and f >= 1 for f in factors):
        raise UsageError(f"{name} is {value!r}; give a whole number, or one for each of the {spatial_dims} axes")
    return factors


def _start_alike(layer: nn.Module, phases: int) -> None:
    """Give all `phases` kernels of an output channel the same weights."""
    weight: Tensor = layer.weight  # type: ignore[assignment]
    with torch.no_grad():
        weight.copy_(weight[::phases].repeat_interleave(phases, dim=0))
