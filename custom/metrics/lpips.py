"""LPIPS with AlexNet, from a file of weights that the user provides.

The weights (10 MB) come from ImageNet models, which have their own licence, so they are not part of this package. Make
the file once, in any environment with torchvision and lpips (`pip install torchvision lpips`)::

    import lpips, safetensors.torch, torchvision
    state = torchvision.models.alexnet(weights="IMAGENET1K_V1").state_dict()
    state = {k: v for k, v in state.items() if k.startswith("features.")}
    heads = lpips.LPIPS(net="alex").state_dict()
    state |= {k: v for k, v in heads.items() if k.startswith("lin") and k.endswith("model.1.weight")}
    safetensors.torch.save_file(state, "lpips_alex.safetensors")

Then set the environment variable MRI_SR_LPIPS_WEIGHTS to the path of the file.
"""

from __future__ import annotations

import logging
import math
import os
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from custom.arrays.slices import volume_to_slices
from custom.errors import InputError

__all__ = ["LPIPS", "WEIGHTS_VARIABLE", "find_lpips"]

#: The environment variable that holds the path of the weights.
WEIGHTS_VARIABLE = "MRI_SR_LPIPS_WEIGHTS"

_logger = logging.getLogger(__name__)

_CHANNELS = (64, 192, 384, 256, 256)
# AlexNet's strides and pooling reduce a smaller image to nothing.
_MIN_SIDE = 31
# Pixels that go through the network at once: 16 slices of 256 x 256, about 100 MB of activations.
_CHUNK_PIXELS = 16 * 256 * 256


class LPIPS(nn.Module):
    """Learned perceptual image patch similarity, version 0.1, with AlexNet; 0 for identical images, else above 0.

    Source: Zhang et al. 2018, equation 1, with the linear weights and the input scaling that they released; AlexNet in
    the one-column form of Krizhevsky 2014.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        # The names are those of the published state dictionaries.
        self.features = nn.Sequential(
            OrderedDict(
                {
                    "0": nn.Conv2d(3, _CHANNELS[0], 11, stride=4, padding=2),
                    "1": nn.ReLU(),
                    "2": nn.MaxPool2d(3, 2),
                    "3": nn.Conv2d(_CHANNELS[0], _CHANNELS[1], 5, padding=2),
                    "4": nn.ReLU(),
                    "5": nn.MaxPool2d(3, 2),
                    "6": nn.Conv2d(_CHANNELS[1], _CHANNELS[2], 3, padding=1),
                    "7": nn.ReLU(),
                    "8": nn.Conv2d(_CHANNELS[2], _CHANNELS[3], 3, padding=1),
                    "9": nn.ReLU(),
                    "10": nn.Conv2d(_CHANNELS[3], _CHANNELS[4], 3, padding=1),
                    "11": nn.ReLU(),
                }
            )
        )
        self.heads = nn.ParameterList([nn.Parameter(torch.zeros(1, c, 1, 1)) for c in _CHANNELS])
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)
        self.eval()

    @classmethod
    def from_file(cls, path: str | Path) -> LPIPS:
        """Read the network from a safetensors file (float16 or float32). The module's docstring says how to make it.

        Raises:
            InputError: if the file cannot be read, or is not of this network.
        """
        try:
            state = load_file(str(path))
        except (OSError, SafetensorError) as err:
            raise InputError(f"{path}: not a safetensors file with LPIPS weights ({err}); make it again") from err
        network = cls()
        own = network.state_dict()
        expected = {_published_key(key): value.shape for key, value in own.items()}
        wrong = [key for key, shape in expected.items() if key not in state or state[key].shape != shape]
        if wrong:
            raise InputError(
                f"{path}: not the weights of LPIPS, {', '.join(wrong[:3])} is missing or has another shape; "
                "make the file as custom/metrics/lpips.py says"
            )
        network.load_state_dict({key: state[_published_key(key)].float() for key in own})
        return network

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Return the distance (B,) of two batches (B, 3, H, W) with values in [-1, 1]; H and W are at least 31."""
        total = torch.zeros(len(pred), device=pred.device)
        for x, y, head in zip(self._activations(pred), self._activations(target), self.heads, strict=True):
            total = total + ((x - y).square() * head).sum(dim=1).mean(dim=(1, 2))
        return total

    @torch.no_grad()
    def of_images(self, pred: Tensor, target: Tensor, slice_axis: int = -1) -> float:
        """Return the mean distance over all grey slices of two images.

        Args:
            pred: (B, C, H, W) or (B, C, i, j, k), data range 1; values outside are not clipped. Each channel is an
                image of its own.
            target: of the same shape.
            slice_axis: the spatial axis across the slices of (B, C, i, j, k).

        Returns:
            The mean distance; NaN if a side of the slices is shorter than 31, which AlexNet cannot read.
        """
        pred, target = (volume_to_slices(image, slice_axis).flatten(0, 1) for image in (pred, target))
        if min(pred.shape[-2:]) < _MIN_SIDE:
            return math.nan
        self.to(pred.device)
        chunk = max(1, _CHUNK_PIXELS // math.prod(pred.shape[-2:]))
        total = 0.0
        for x, y in zip(pred.split(chunk), target.split(chunk), strict=True):
            x, y = (image.float().mul(2).sub(1).reshape(-1, 1, *image.shape[-2:]) for image in (x, y))
            total += float(self(x.expand(-1, 3, -1, -1), y.expand(-1, 3, -1, -1)).sum())
        return total / len(pred)

    def _activations(self, image: Tensor) -> list[Tensor]:
        """Return the outputs of the five rectified layers, each normalised over its channels."""
        found = []
        image = (image - self.shift) / self.scale
        for layer in self.features:
            image = layer(image)
            if isinstance(layer, nn.ReLU):
                found.append(image / (image.square().sum(dim=1, keepdim=True).sqrt() + 1e-10))
        return found


def find_lpips() -> LPIPS | None:
    """Read the network from the file that the environment variable MRI_SR_LPIPS_WEIGHTS names.

    Returns:
        The network; None if the variable is not set or there is no such file. The log then says how to make the file.

    Raises:
        InputError: if the file is not one of this network.
    """
    path = os.environ.get(WEIGHTS_VARIABLE)
    if path and Path(path).is_file():
        return LPIPS.from_file(path)
    _logger.warning(
        "LPIPS is left out: %s. Make the file of its weights as custom/metrics/lpips.py says, and set %s to its path.",
        f"{WEIGHTS_VARIABLE} is {path}, and there is no such file" if path else f"{WEIGHTS_VARIABLE} is not set",
        WEIGHTS_VARIABLE,
    )
    return None


def _published_key(key: str) -> str:
    """Return the name of a parameter in the published state dictionaries: linN.model.1.weight for heads.N."""
    return f"lin{key.removeprefix('heads.')}.model.1.weight" if key.startswith("heads.") else key
