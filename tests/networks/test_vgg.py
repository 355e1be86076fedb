from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from custom.errors import UsageError
from custom.networks import VGG
from custom.networks.vgg import vgg_layer_index


def features_by_hand(state: dict[str, torch.Tensor], picture: NDArray, kinds: str) -> list[NDArray]:
    """All layers one after the other, in float64 and without torch: c convolution, r ReLU, p pooling."""
    found, x = [], picture
    for index, kind in enumerate(kinds):
        if kind == "c":
            weight, bias = (state[f"features.{index}.{part}"].numpy().astype(float) for part in ("weight", "bias"))
            padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
            patches = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
            x = np.einsum("oikl,ihwkl->ohw", weight, patches, optimize=True) + bias[:, None, None]
        elif kind == "r":
            x = np.maximum(x, 0)
        else:
            h, w = x.shape[1] // 2, x.shape[2] // 2
            x = x[:, : 2 * h, : 2 * w].reshape(-1, h, 2, w, 2).max(axis=(2, 4))
        found.append(x)
    return found


def random_vgg(name: str, layers: list[str]) -> VGG:
    torch.manual_seed(0)
    network = VGG(name, layers)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=(2 / (9 * parameter.shape[0])) ** 0.5)
    return network


@pytest.mark.parametrize(
    ("name", "layers", "kinds", "places"),
    [
        ("vgg16", ["block3_conv3", "block1_conv2", "block1_pool"], "crcrpcrcrpcrcrcr", [15, 3, 4]),
        ("vgg19", ["block3_conv4", "block2_pool", "block3_conv3"], "crcrpcrcrpcrcrcrcr", [17, 9, 15]),
    ],
)
def test_features_against_a_calculation_without_torch(name, layers, kinds, places):
    network = random_vgg(name, layers)
    picture = torch.rand(3, 9, 13)
    by_hand = features_by_hand(network.state_dict(), picture.double().numpy(), kinds)
    for found, place in zip(network(picture[None]), places, strict=True):
        wanted = by_hand[place]
        assert wanted.std() > 0
        np.testing.assert_allclose(found[0].numpy(), wanted, rtol=1e-4, atol=1e-4 * wanted.max())


@pytest.mark.parametrize(
    ("name", "layer", "index"),
    [
        ("vgg16", "block2_conv2", 8),
        ("vgg16", "block4_conv1", 18),
        ("vgg16", "block5_conv3", 29),
        ("vgg16", "block5_pool", 30),
        ("vgg19", "block2_conv2", 8),
        ("vgg19", "block3_conv4", 17),
        ("vgg19", "block5_conv4", 35),
        ("vgg19", "block5_pool", 36),
    ],
)
def test_names_of_layers(name, layer, index):
    assert vgg_layer_index(name, layer) == index


@pytest.mark.parametrize(
    ("name", "total", "deepest"), [("vgg16", 14_714_688, "features.28"), ("vgg19", 20_024_384, "features.34")]
)
def test_parameter_counts_of_the_convolutional_parts(name, total, deepest):
    """As published for the networks of Keras without their classifiers."""
    with torch.device("meta"):
        network = VGG(name, ["block5_pool"])
    assert sum(p.numel() for p in network.parameters()) == total
    assert list(network.state_dict())[-2:] == [f"{deepest}.weight", f"{deepest}.bias"]
    assert network.min_side == 32


def test_only_the_layers_in_use_are_built_and_all_are_frozen():
    network = VGG("vgg19", ["block1_conv1", "block2_conv2"])
    assert len(network.features) == 9
    assert network.min_side == 2
    assert not any(p.requires_grad for p in network.parameters())
    assert not network.training


@pytest.mark.parametrize(
    ("name", "layers", "words"),
    [
        ("vgg11", ["block1_conv1"], "network is 'vgg11'; choose one of vgg16, vgg19"),
        ("vgg16", ["block3_conv4"], "layer 'block3_conv4' is not in vgg16"),
        ("vgg16", [], "layers is empty"),
    ],
)
def test_what_is_not_there_is_refused(name, layers, words):
    with pytest.raises(UsageError, match=words):
        VGG(name, layers)
