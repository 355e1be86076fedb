"""The super-resolution residual network."""

from __future__ import annotations

import torch
from monai.networks.blocks import SubpixelUpsample
from monai.networks.utils import icnr_init
from torch import Tensor, nn

from custom.errors import UsageError
from custom.networks.architecture import store_architecture
from custom.networks.gates import ImageGates, weigh
from custom.networks.zero_sum import ZeroSumConv2d

__all__ = ["SRResNet"]

_CHOICES = {
    "upsampling": ("pixel_shuffle", "nearest", "direct"),
    "order": ("convolution_first", "resize_first"),
}


class SRResNet(nn.Module):
    """Enlarge 2D or 3D images by a power of two: residual blocks on the low-resolution grid, then steps of two.

    Input `(B, in_channels, *spatial)`, output `(B, out_channels, *(s * spatial))` on the pixel-centre grid; any size.
    Layers: convolution of 9 and PReLU; `blocks` times (convolution, batch norm, PReLU, convolution, batch norm, plus
    its input); convolution, batch norm, plus the output of the first layer; log2(s) enlargements, each with a PReLU;
    convolution of 9, linear. All other kernels are of 3. With 3 channels in and out, the defaults have 1,550,659
    parameters and 4,224 statistics of batch norm, "nearest" has 2,040,067 and as many.

    Initial values are those of Keras: Glorot-uniform kernels, zero biases, batch norm with epsilon 1e-3.

    Args:
        spatial_dims: d, 2 or 3.
        in_channels: 1, or more, such as neighbouring slices.
        out_channels: of the result.
        scale_factor: s: 1, 2, 4, 8, ...
        features: channels of the residual blocks.
        blocks: number of residual blocks.
        upsampling: "pixel_shuffle", or "nearest" for nearest-neighbour enlargement; "direct" is one convolution to
            s**d channels and one shuffle in place of the steps and of the last layer, at about a tenth of their work.
        order: "convolution_first": a convolution to 2**d * features channels, then the enlargement (which leaves
            that many channels where it is "nearest"). "resize_first": the enlargement (a shuffle leaves
            features / 2**d channels), then a convolution to `features` channels.
        batch_norm: False leaves all batch norms out.
        residual_scaling: factor on what a residual block adds.
        icnr: start the convolutions before a pixel shuffle with equal kernels for all phases.
        prelu_start: first slope of the PReLUs, one a channel; 0 is a ReLU.
        skip: a module that enlarges by classical interpolation; the network then learns what is missing. Of more
            input than output channels, the middle ones are enlarged.
        equivariant: no biases, and a first layer whose kernels sum to 0, so that f(a x + b) = a f(x) + b for a > 0
            (see `ZeroSumConv2d`); in 2D, with a skip and the direct enlargement, without batch norm.
        gated: each channel within the residual blocks, and of the first layer, is multiplied by a factor that
            statistics of the whole image give (see `ImageGates`); in 2D, without batch norm.

    Attributes:
        receptive_radius: low-resolution pixels to each side that an output pixel depends on, skip excepted; 40 by
            default: 4 of the first, 2 of each block, 1 of the convolution after them, 3 of the enlargements and end.

    Raises:
        UsageError: for an argument that is none of these, or options that do not go together.

    Source: Ledig et al. 2017, "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network",
    in the form of junnjun/Keras_SuperResolution_SRResNet: what is added after the blocks is the first convolution's
    output before its PReLU, slopes start at 0, and there is no activation after the enlargement's convolution but the
    one that follows the enlargement. There "nearest" is always convolution first; "resize_first" is claimed, not coded.
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 1,
        out_channels: int = 1,
        scale_factor: int = 4,
        features: int = 64,
        blocks: int = 16,
        upsampling: str = "pixel_shuffle",
        order: str = "convolution_first",
        batch_norm: bool = True,
        residual_scaling: float = 1.0,
        icnr: bool = False,
        prelu_start: float = 0.0,
        skip: nn.Module | None = None,
        equivariant: bool = False,
        gated: bool = False,
    ) -> None:
        super().__init__()
        for name, value in {"upsampling": upsampling, "order": order}.items():
            if value not in _CHOICES[name]:
                raise UsageError(f"{name} is {value!r}; choose one of {', '.join(_CHOICES[name])}")
        if spatial_dims not in (2, 3):
            raise UsageError(f"spatial_dims is {spatial_dims}; choose 2 or 3")
        if scale_factor < 1 or scale_factor & (scale_factor - 1):
            raise UsageError(f"scale_factor is {scale_factor}; SRResNet enlarges in steps of two: choose 2, 4 or 8")
        shuffle_first = upsampling == "pixel_shuffle" and order == "resize_first"
        if shuffle_first and features % 2**spatial_dims:
            raise UsageError(f"features is {features}; to be shuffled first, a multiple of {2**spatial_dims} is needed")
        if icnr and (upsampling == "nearest" or order != "convolution_first"):
            raise UsageError(
                "icnr is true; it starts convolutions before a pixel shuffle, of which there are none here"
            )
        if upsampling == "direct" and order != "convolution_first":
            raise UsageError(f"order is {order!r}; the direct enlargement is always convolution_first")
        if skip is not None and (in_channels < out_channels or (in_channels - out_channels) % 2):
            raise UsageError(
                f"in_channels is {in_channels} and out_channels {out_channels}; a skip needs a middle to be enlarged"
            )
        if equivariant and (spatial_dims != 2 or skip is None or batch_norm or upsampling != "direct"):
            raise UsageError(
                "equivariant is true; it needs spatial_dims 2, a skip, upsampling 'direct' and batch_norm false"
            )
        if gated and (spatial_dims != 2 or batch_norm):
            raise UsageError("gated is true; it needs spatial_dims 2 and batch_norm false")
        self.out_channels = out_channels
        self.middle = (in_channels - out_channels) // 2
        direct = upsampling == "direct"
        steps = 0 if direct else scale_factor.bit_length() - 1
        tail_radius = 1 if direct else _tail_radius(steps, order == "convolution_first")
        self.receptive_radius = 5 + 2 * blocks + tail_radius
        store_architecture(
            self,
            f"SRResNet {spatial_dims}D x{scale_factor}, {in_channels} to {out_channels} channels, "
            f"{upsampling} {order}, {'batch norm' if batch_norm else 'no norm'}, global skip before_activation, "
            f"residuals times {float(residual_scaling)}, {'residual of a skip' if skip is not None else 'no skip'}",
            equivariant=equivariant,
            gated=gated,
        )

        if equivariant:
            self.first: nn.Module = ZeroSumConv2d(in_channels, features, 9)
            nn.init.xavier_uniform_(self.first.weight)
        else:
            self.first = _convolution(spatial_dims, in_channels, features, 9)
        self.activation = nn.PReLU(features, prelu_start)
        body: list[nn.Module] = []
        for _ in range(blocks):
            body.append(_ResidualBlock(spatial_dims, features, batch_norm, residual_scaling, prelu_start))
        body += _normalised(spatial_dims, features, batch_norm)
        self.body = nn.Sequential(*body)
        tail: list[nn.Module] = []
        channels = features
        for _ in range(steps):
            block, channels = _enlargement(spatial_dims, channels, features, upsampling, order, icnr)
            tail += [*block, nn.PReLU(channels, prelu_start)]
        if direct:
            last = _convolution(spatial_dims, channels, out_channels * scale_factor**spatial_dims, 3)
            if icnr:
                icnr_init(last, scale_factor, nn.init.xavier_uniform_)
            tail += [last, _shuffle(spatial_dims, scale_factor)]
        else:
            last = _convolution(spatial_dims, channels, out_channels, 9)
            tail.append(last)
        self.tail = nn.Sequential(*tail)
        if skip is not None:
            # Training starts near the interpolation.
            with torch.no_grad():
                last.weight.mul_(0.1)
        self.skip = skip
        self.gates = ImageGates(features, [features] * (blocks + 1)) if gated else None
        if equivariant:
            for layer in self.modules():
                if isinstance(layer, nn.Conv2d):
                    layer.register_parameter("bias", None)

    def forward(self, image: Tensor, description: Tensor | None = None) -> Tensor:
        """Enlarge `(B, in_channels, *spatial)` to `(B, out_channels, *(s * spatial))`.

        Args:
            image: the low-resolution image, or a tile of it.
            description: of the whole image, where `image` is a tile and the network is gated.
        """
        first = self.first(image)
        features = self.activation(first)
        if self.gates is None:
            features = self.body(features)
        else:
            factors = self.gates(self.gates.describe(first) if description is None else description)
            features = weigh(features, factors[0])
            for number, layer in enumerate(self.body):
                # A residual block, in words that torch.jit.script reads.
                features = layer(features, factors[number + 1]) if hasattr(layer, "branch") else layer(features)
        enlarged = self.tail(features + first)
        if self.skip is not None:
            # Under autocast the residual comes in half precision; the sum is taken in the precision of the image.
            middle = image[:, self.middle : self.middle + self.out_channels]
            enlarged = enlarged.to(image.dtype) + self.skip(middle)
        return enlarged

    def describe(self, image: Tensor) -> Tensor | None:
        """Describe a whole image `(B, in_channels, *spatial)` for its tiles; None where the network is not gated."""
        return None if self.gates is None else self.gates.describe(self.first(image))


class _ResidualBlock(nn.Module):
    """Two convolutions whose result is added to the input; nothing after the sum."""

    def __init__(self, spatial_dims: int, features: int, batch_norm: bool, scaling: float, prelu_start: float) -> None:
        super().__init__()
        self.scaling = float(scaling)
        self.activation = 2 if batch_norm else 1  # its number among the layers
        self.branch = nn.Sequential(
            *_normalised(spatial_dims, features, batch_norm),
            nn.PReLU(features, prelu_start),
            *_normalised(spatial_dims, features, batch_norm),
        )

    def forward(self, x: Tensor, factor: Tensor | None = None) -> Tensor:
        """Add the branch, whose hidden channels are multiplied by `factor` `(B, features)`."""
        added = x
        for number, layer in enumerate(self.branch):
            added = layer(added)
            if factor is not None and number == self.activation:
                added = weigh(added, factor)
        return torch.add(x, added, alpha=self.scaling)


def _convolution(spatial_dims: int, channels: int, features: int, kernel: int) -> nn.Conv2d | nn.Conv3d:
    layer = (nn.Conv2d if spatial_dims == 2 else nn.Conv3d)(channels, features, kernel, padding=kernel // 2)
    nn.init.xavier_uniform_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def _normalised(spatial_dims: int, features: int, batch_norm: bool) -> list[nn.Module]:
    """A convolution of 3 and, where wanted, its batch norm with the constants of the source (Keras momentum 0.8)."""
    layers: list[nn.Module] = [_convolution(spatial_dims, features, features, 3)]
    if batch_norm:
        layers.append((nn.BatchNorm2d if spatial_dims == 2 else nn.BatchNorm3d)(features, eps=1e-3, momentum=0.2))
    return layers


def _shuffle(spatial_dims: int, scale_factor: int) -> nn.Module:
    """Rearrange channels into space. In 2D it is torch's layer, since MONAI's leaves the channels_last layout."""
    if spatial_dims == 2:
        return nn.PixelShuffle(scale_factor)
    return SubpixelUpsample(3, None, scale_factor=scale_factor, conv_block=None, apply_pad_pool=False)


def _enlargement(
    spatial_dims: int, channels: int, features: int, upsampling: str, order: str, icnr: bool
) -> tuple[list[nn.Module], int]:
    """One enlargement by two, and the channels that it leaves."""
    phases = 2**spatial_dims
    shuffle = upsampling == "pixel_shuffle"
    resize = _shuffle(spatial_dims, 2) if shuffle else nn.Upsample(scale_factor=2, mode="nearest")
    if order == "resize_first":
        return [resize, _convolution(spatial_dims, channels // phases if shuffle else channels, features, 3)], features
    convolution = _convolution(spatial_dims, channels, features * phases, 3)
    if icnr:
        icnr_init(convolution, 2, nn.init.xavier_uniform_)
    return [convolution, resize], features if shuffle else features * phases


def _tail_radius(steps: int, convolution_first: bool) -> int:
    """Low-resolution pixels to each side that the enlargements and the last convolution of 9 read."""
    reach = []
    for side, pixel in ((-1, 0), (1, 2**steps - 1)):  # the outermost phases of low-resolution pixel 0
        pixel += 4 * side
        for _ in range(steps):
            pixel = pixel // 2 + side if convolution_first else (pixel + side) // 2
        reach.append(side * pixel)
    return max(reach)
