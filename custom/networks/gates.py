"""What a network may learn from the image as a whole: gates on its channels, steered by scale-free statistics."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["ImageGates", "weigh"]


class ImageGates(nn.Module):
    """Weigh the channels of a network by how the image as a whole was made: how much blur, noise and ringing it has.

    Each kernel of the first layer answers to some band of spatial frequencies. The logarithms of its mean and of its
    root mean square response over the image, less the mean of all kernels, say how the signal falls off with frequency
    and how evenly it is spread (noise is everywhere, edges are rare), and do not change with the image's unit. Two
    small linear layers turn them into one factor between 0 and 2 for each channel of each gated layer.

    A layer then does as much deblurring or smoothing as fits the scan. All factors are 1 when training starts.

    Args:
        channels: of the first layer's responses, C.
        widths: channels of each gated layer.
        hidden: features between the two linear layers.

    Source: the idea of channel factors from pooled features is Hu et al. 2018, "Squeeze-and-Excitation Networks".
    """

    def __init__(self, channels: int, widths: Sequence[int], hidden: int = 64) -> None:
        super().__init__()
        self.widths = list(widths)
        self.hidden = nn.Linear(2 * channels, hidden)
        self.factors = nn.Linear(hidden, sum(self.widths))
        nn.init.zeros_(self.factors.weight)
        nn.init.zeros_(self.factors.bias)

    def describe(self, responses: Tensor) -> Tensor:
        """Describe whole images by the responses `(B, C, *spatial)` of the first layer: `(B, 2 * C)`, in float32."""
        smallest = 1e-6  # of an image of about 0..1, so that a flat one has a logarithm
        # Of a large image every n-th row and column is enough, and takes no time beside the convolutions.
        step = max(1, min(responses.shape[2:]) // 64)
        sample = responses[:, :, ::step, ::step].float()
        axes = [2, 3] if responses.ndim == 4 else [2, 3, 4]
        mean = torch.log(sample.abs().mean(axes) + smallest)
        rms = 0.5 * torch.log(sample.square().mean(axes) + smallest * smallest)
        return torch.cat([mean - mean.mean(1, keepdim=True), rms - mean], 1)

    def forward(self, description: Tensor) -> list[Tensor]:
        """Give the factors of each gated layer, `(B, width)`, from `(B, 2 * C)`."""
        factors = 2 * torch.sigmoid(self.factors(torch.relu(self.hidden(description))))
        return list(factors.split(self.widths, 1))


def weigh(features: Tensor, factor: Tensor) -> Tensor:
    """Multiply features `(B, C, *spatial)`, which nothing else uses, by factors `(B, C)`."""
    factor = factor.reshape(list(factor.shape) + [1] * (features.dim() - 2))
    # In place there is no pass over another large tensor; with gradients the features are still needed.
    return features * factor if torch.is_grad_enabled() else features.mul_(factor)
