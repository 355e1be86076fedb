"""The distance of two images in the features of a network that was trained on photographs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from custom.arrays.slices import volume_to_slices
from custom.errors import UsageError
from custom.networks import VGG
from custom.networks.vgg import vgg_layer_index

__all__ = ["DISTANCES", "NORMALISATIONS", "PerceptualLoss"]

DISTANCES = {"l1": nn.functional.l1_loss, "l2": nn.functional.mse_loss}

#: Mean and standard deviation of the three channels, in units of the image.
NORMALISATIONS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}


class PerceptualLoss(nn.Module):
    """Mean distance of the features of two images, summed over layers with their weights.

    Images are `(B, C, *spatial)` of 2 or 3 spatial axes with values about 0..1, which are not clipped. Each channel is
    a grey picture of its own, which the network receives as red, green and blue. In 3D the pictures are all slices
    across each of the three axes, and the loss is the mean of the three directions, so that it is on the scale of 2D.

    The loss is computed in float32, under autocast too. The features of a good prediction differ from those of the
    label by little more than the rounding error of bfloat16, which would give the gradient another direction
    (measured at 37 dB: the cosine between the gradients in bfloat16 and float32 is 0.8). The network is moved to the
    device of the images. No gradient reaches the label.

    Args:
        network: gives the features; frozen, such as `custom.weights.load_vgg` returns.
        layers: the weight of each layer, or names alone for weights of 1; None for all layers of the network. A layer
            of weight 0 is left out.
        distance: of features: "l1" for the mean absolute, "l2" for the mean squared difference.
        normalisation: "imagenet", as the network was trained: minus the mean, over the standard deviation of the
            channels, for images in 0..1. "none": the images as they are, in 0..1, as MariiaKop/SR_kspace has it.

    Raises:
        UsageError: for an unknown distance, normalisation or layer, or a weight that is negative or not finite.

    Source: Johnson et al. 2016, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", equation 2.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: VGG,
        layers: Mapping[str, float] | Iterable[str] | None = None,
        distance: str = "l1",
        normalisation: str = "imagenet",
    ) -> None:
        super().__init__()
        if distance not in DISTANCES:
            raise UsageError(f"distance is {distance!r}; choose one of {', '.join(DISTANCES)}")
        if normalisation not in NORMALISATIONS:
            raise UsageError(f"normalisation is {normalisation!r}; choose one of {', '.join(NORMALISATIONS)}")
        self.network = network
        self.weights = _weights_by_position(network, network.layers if layers is None else layers)
        self.distance = DISTANCES[distance]
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in NORMALISATIONS[normalisation])
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, pred: Tensor, label: Tensor) -> Tensor:
        """Return the distance of `(B, C, *spatial)` to a label of the same shape, one number.

        Raises:
            UsageError: when the pictures are too small for the network.
        """
        if pred.shape != label.shape or pred.ndim not in (4, 5):
            raise ValueError(
                f"pred has shape {tuple(pred.shape)} and label {tuple(label.shape)}; both must be one (B, C, *spatial)"
            )
        self.to(pred.device)
        with torch.autocast(pred.device.type, enabled=False):
            if pred.ndim == 4:
                return self._of_pictures(pred, label)
            total = torch.zeros((), device=pred.device)
            for axis in range(3):
                total = total + self._of_pictures(volume_to_slices(pred, axis), volume_to_slices(label, axis))
            return total / 3

    def _of_pictures(self, pred: Tensor, label: Tensor) -> Tensor:
        if min(pred.shape[-2:]) < self.network.min_side:
            raise UsageError(
                f"patch_size: pictures of {tuple(pred.shape[-2:])} pixels are too small for the perceptual loss with "
                f"{', '.join(self.network.layers)}, which needs {self.network.min_side}; take larger patches"
            )
        with torch.no_grad():
            wanted = self.network(self._normalised(label))
        found = self.network(self._normalised(pred))
        total = torch.zeros((), device=pred.device)
        for position, weight in self.weights.items():
            total = total + weight * self.distance(found[position], wanted[position])
        return total

    def _normalised(self, image: Tensor) -> Tensor:
        """Make the pictures `(B * C, 3, H, W)` of the network from `(B, C, H, W)`."""
        return (image.float().flatten(0, 1).unsqueeze(1) - self.mean) / self.std


def _weights_by_position(network: VGG, layers: Mapping[str, float] | Iterable[str]) -> dict[int, float]:
    """Map the position in what the network returns to the weight, where that is not 0."""
    by_name = layers if isinstance(layers, Mapping) else dict.fromkeys(layers, 1.0)
    wrong = {name: weight for name, weight in by_name.items() if not (math.isfinite(weight) and weight >= 0)}
    if wrong:
        raise UsageError(f"weights of layers are finite and not negative, got {wrong}")
    positions: dict[int, float] = {}
    for name, weight in by_name.items():
        index = vgg_layer_index(network.name, name)
        if index not in network.indices:
            raise UsageError(f"layer {name!r} is not among those of the network: {', '.join(network.layers)}")
        if weight > 0:
            positions[network.indices.index(index)] = float(weight)
    if not positions:
        raise UsageError("no layer has a weight above 0, so there is nothing to compare")
    return positions
