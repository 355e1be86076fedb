"""The convolutional parts of VGG16 and VGG19, as far as their features are asked for."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from custom.errors import UsageError

__all__ = ["VGG", "VGG_NETWORKS", "vgg_layer_index"]

#: Convolutions in each of the five blocks.
VGG_NETWORKS: dict[str, tuple[int, ...]] = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}

_CHANNELS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
    """Features of pictures `(B, 3, H, W)` at named layers; the network is built as far as the deepest of them.

    The layers and the keys of the state dict (`features.N.weight`) are those of torchvision: convolutions of 3 with
    zero padding, ReLUs, and max pooling of 2 after each block. The parameters are frozen. They are random until
    somebody loads them, as `custom.weights.load_vgg` does. Training and evaluation mode give the same.

    Args:
        name: "vgg16" or "vgg19".
        layers: names of layers; see `vgg_layer_index`.

    Attributes:
        layers: the names as they were given.
        indices: the positions of these layers in `features`, in the same order.
        min_side: the smallest height and width of a picture, in pixels; the pooling of a smaller one leaves nothing.

    Raises:
        UsageError: for an unknown network or layer, or no layer.

    Source: Simonyan and Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image Recognition", table 1,
    columns D and E.
    """

    def __init__(self, name: str, layers: Iterable[str]) -> None:
        super().__init__()
        self.name = name
        self.layers = tuple(layers)
        self.indices = tuple(vgg_layer_index(name, layer) for layer in self.layers)
        if not self.indices:
            raise UsageError(f"layers is empty; name at least one layer of {name}, such as block2_conv2")
        built: list[nn.Module] = []
        channels = 3
        for convolutions, features in zip(VGG_NETWORKS[name], _CHANNELS, strict=True):
            for _ in range(convolutions):
                built += [nn.Conv2d(channels, features, 3, padding=1), nn.ReLU()]
                channels = features
            built.append(nn.MaxPool2d(2))
            if len(built) > max(self.indices):
                break
        self.features = nn.Sequential(*built[: max(self.indices) + 1])
        self.min_side = 2 ** sum(isinstance(layer, nn.MaxPool2d) for layer in self.features)
        self.requires_grad_(False)
        self.eval()

    def forward(self, picture: Tensor) -> list[Tensor]:
        """Return the features `(B, channels, h, w)` of `layers`, in their order, of a normalised picture."""
        found: dict[int, Tensor] = {}
        for index, layer in enumerate(self.features):
            picture = layer(picture)
            if index in self.indices:
                found[index] = picture
        return [found[index] for index in self.indices]


def vgg_layer_index(name: str, layer: str) -> int:
    """Find a layer in the `features` of torchvision.

    Args:
        name: "vgg16" or "vgg19".
        layer: named as in Keras: "block2_conv2", the output of the ReLU after that convolution; "block2_pool".

    Raises:
        UsageError: for an unknown network or layer.
    """
    if name not in VGG_NETWORKS:
        raise UsageError(f"network is {name!r}; choose one of {', '.join(VGG_NETWORKS)}")
    known: dict[str, int] = {}
    index = -1
    for block, convolutions in enumerate(VGG_NETWORKS[name], start=1):
        for convolution in range(1, convolutions + 1):
            index += 2
            known[f"block{block}_conv{convolution}"] = index
        index += 1
        known[f"block{block}_pool"] = index
    if layer not in known:
        raise UsageError(f"layer {layer!r} is not in {name}; choose one of {', '.join(known)}")
    return known[layer]
