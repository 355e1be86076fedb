"""The efficient sub-pixel convolutional network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from custom.errors import UsageError
from custom.networks.architecture import store_architecture
from custom.networks.gates import ImageGates, weigh
from custom.networks.zero_sum import ZeroSumConv2d

__all__ = ["ESPCN"]

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU}


class ESPCN(nn.Module):
    """Enlarge 2D images by an integer factor: four convolutions on the low-resolution grid and a pixel shuffle.

    Input `(B, in_channels, H, W)`, output `(B, 1, s*H, s*W)` on the pixel-centre grid; any H and W; values about 0..1.
    With `in_channels` > 1 the channels are neighbouring slices and the result is the middle one, enlarged.
    61,680 parameters at scale 4 with one input channel.

    Unless it is `equivariant`, the convolutions see values below 0 as 0; only the skip enlarges them. Magnitudes have
    none but where they were resampled, and convolutions that never saw any in training answer to a few per cent with
    the whole range of values.

    Args:
        scale_factor: s, how many times larger each axis becomes.
        in_channels: 1, or an odd number of neighbouring slices.
        activation: between the convolutions, "relu" or "leaky_relu".
        last_activation: after the last convolution, one of the same; None (linear) lets the residual be negative,
            "relu" is the published form.
        skip: a module that enlarges `(B, 1, H, W)` by classical interpolation; the network then learns what is
            missing. None is the published form.
        equivariant: no biases, and a first layer whose kernels sum to 0, so that f(a x + b) = a f(x) + b for a > 0
            (see `ZeroSumConv2d`). It needs a skip. False is the published form.
        gated: each hidden channel is multiplied by a factor that statistics of the whole image give (see
            `ImageGates`). False is the published form.

    Raises:
        UsageError: for an unknown activation, an even number of input channels, or `equivariant` without a skip.

    Source: Shi et al. 2016, "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
    Convolutional Neural Network", with the kernel sizes 5, 3, 3, 3 and the orthogonal initialisation of project
    46464383 in shakes76/PatternFlow (after the Keras example of the method).
    """

    def __init__(
        self,
        scale_factor: int = 4,
        in_channels: int = 1,
        activation: str = "leaky_relu",
        last_activation: str | None = None,
        skip: nn.Module | None = None,
        equivariant: bool = False,
        gated: bool = False,
    ) -> None:
        super().__init__()
        for name in (activation, last_activation):
            if name is not None and name not in _ACTIVATIONS:
                raise UsageError(f"activation is {name!r}; choose one of {', '.join(_ACTIVATIONS)}")
        if in_channels % 2 == 0:
            raise UsageError(
                f"in_channels is {in_channels}; neighbouring slices need an odd number, the middle is enlarged"
            )
        if equivariant and skip is None:
            raise UsageError("equivariant is true and skip is null; the skip is what keeps the mean of the image")
        self.middle = in_channels // 2
        self.equivariant = equivariant
        store_architecture(
            self,
            f"ESPCN x{scale_factor}, {in_channels} input channels, {activation}, {last_activation or 'linear'} end, "
            f"{'residual of a skip' if skip else 'no skip'}",
            equivariant=equivariant,
            gated=gated,
        )
        bias = not equivariant
        last = nn.Conv2d(32, scale_factor**2, 3, padding=1, bias=bias)
        self.body = nn.Sequential(
            ZeroSumConv2d(in_channels, 64, 5) if equivariant else nn.Conv2d(in_channels, 64, 5, padding=2),
            _ACTIVATIONS[activation](),
            nn.Conv2d(64, 64, 3, padding=1, bias=bias),
            _ACTIVATIONS[activation](),
            nn.Conv2d(64, 32, 3, padding=1, bias=bias),
            _ACTIVATIONS[activation](),
            last,
            _ACTIVATIONS[last_activation]() if last_activation else nn.Identity(),
            nn.PixelShuffle(scale_factor),
        )
        self.body.apply(_initialise)
        self.gates = ImageGates(64, [64, 64, 32]) if gated else None
        if skip is not None:
            # Training starts near the interpolation: a full-size random residual kills ReLUs in the first steps.
            with torch.no_grad():
                last.weight.mul_(0.1)
        self.skip = skip

    def forward(self, image: Tensor, description: Tensor | None = None) -> Tensor:
        """Enlarge `(B, in_channels, H, W)` to `(B, 1, s*H, s*W)`.

        Args:
            image: the low-resolution image, or a tile of it.
            description: of the whole image, where `image` is a tile and the network is gated.
        """
        seen = self._seen(image)
        if self.gates is None:
            enlarged = self.body(seen)
        else:
            features = self.body[0](seen)
            factors = self.gates(self.gates.describe(features) if description is None else description)
            features = weigh(self.body[1](features), factors[0])
            features = weigh(self.body[3](self.body[2](features)), factors[1])
            features = weigh(self.body[5](self.body[4](features)), factors[2])
            enlarged = self.body[8](self.body[7](self.body[6](features)))
        if self.skip is not None:
            # Under autocast the residual comes in half precision; the sum is taken in the precision of the image.
            enlarged = enlarged.to(image.dtype) + self.skip(image[:, self.middle : self.middle + 1])
        return enlarged

    def describe(self, image: Tensor) -> Tensor | None:
        """Describe a whole image `(B, in_channels, H, W)` for its tiles; None where the network is not gated."""
        return None if self.gates is None else self.gates.describe(self.body[0](self._seen(image)))

    def _seen(self, image: Tensor) -> Tensor:
        """Give what the convolutions see of an image: where a shift of the intensities matters, no values below 0."""
        return image if self.equivariant else image.clamp(min=0)


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d):
        nn.init.orthogonal_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
