"""Finding and reading the weights of VGG16 and VGG19, which are not part of this package."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path

import torch

from custom.errors import InputError
from custom.networks import VGG
from custom.weights.checkpoints import weight_problems
from custom.weights.files import read_checkpoint

__all__ = ["VGG_ADDRESSES", "load_vgg", "vgg_variable"]

#: Where torchvision offers its ImageNet weights; the digits are the beginning of the file's SHA-256.
VGG_ADDRESSES = {
    "vgg16": "https://download.pytorch.org/models/vgg16-397923af.pth",
    "vgg19": "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
}

_logger = logging.getLogger(__name__)


def vgg_variable(name: str) -> str:
    """Return the environment variable that names the file of weights: MRI_SR_VGG16_WEIGHTS for "vgg16"."""
    return f"MRI_SR_{name.upper()}_WEIGHTS"


def load_vgg(name: str, layers: Iterable[str], weights: str | Path | None = None) -> VGG:
    """Build VGG16 or VGG19 as far as the deepest of the layers, with the weights of ImageNet, frozen.

    The weights come from the first of these that is there: the argument, the file that the environment variable
    MRI_SR_VGG16_WEIGHTS (or 19) names, the cache of torch.hub, the download from torchvision (550 MB, once; its hash is
    checked).

    Args:
        name: "vgg16" or "vgg19".
        layers: names of layers, see `custom.networks.vgg.vgg_layer_index`, or a dictionary with these as keys.
        weights: a file of tensors under torchvision's names, .safetensors or of torch.save, of any floating type;
            weights behind the deepest of the layers may be missing.

    Raises:
        MissingFileError: when the named file is not there.
        InputError: when it is damaged or not of this network, or when the weights cannot be downloaded.
        UsageError: for an unknown network or layer.
    """
    network = VGG(name, layers)
    path = _find(name, weights)
    content = read_checkpoint(path)
    expected = network.state_dict()
    if problems := weight_problems(content, expected):
        raise InputError(
            f"{path}: not the weights of {name} as far as {', '.join(network.layers)}: {problems}. Give another file "
            f"by {vgg_variable(name)}, or layers that it holds; the complete one is {VGG_ADDRESSES[name]}"
        )
    network.load_state_dict({key: content[key] for key in expected})
    _logger.info("weights of %s: %s", name, path)
    return network


def _find(name: str, weights: str | Path | None) -> Path:
    variable, address = vgg_variable(name), VGG_ADDRESSES[name]
    named = weights or os.environ.get(variable)
    if named:
        return Path(named)
    cached = Path(torch.hub.get_dir()) / "checkpoints" / address.rpartition("/")[2]
    if cached.is_file():
        return cached
    _logger.info("weights of %s: downloading %s to %s", name, address, cached)
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        # A partial download gets another name, and one with a wrong hash is removed.
        torch.hub.download_url_to_file(address, str(cached), cached.stem.rpartition("-")[2], progress=False)
    except (OSError, RuntimeError) as err:
        raise InputError(
            f"{cached}: the weights of {name} are not there and cannot be fetched from {address} ({err}); where there "
            f"is a network, download that file, then put it into the folder {cached.parent}, or set {variable} (or the "
            "config's vgg_weights) to its path"
        ) from err
    return cached
