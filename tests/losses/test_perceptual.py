from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from custom.errors import UsageError
from custom.losses import PerceptualLoss
from custom.networks import VGG
from custom.weights import load_vgg

LAYERS = ["block1_conv1", "block2_conv1"]


@pytest.fixture
def network() -> VGG:
    """Layers of the size of VGG with random weights."""
    torch.manual_seed(0)
    vgg = VGG("vgg16", LAYERS)
    for parameter in vgg.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return vgg


@pytest.fixture
def real_network(shared_data) -> VGG:
    return load_vgg("vgg16", ["block2_conv2"], shared_data / "weights" / "vgg16_features_to_conv4_1_fp16.safetensors")


def pair(*shape: int) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.rand(2, *shape)


MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.mark.parametrize("distance", ["l1", "l2"])
@pytest.mark.parametrize(
    ("normalisation", "pictures"),
    [
        ("imagenet", lambda grey, c: (grey - MEAN[c]) / STD[c]),
        ("none", lambda grey, c: grey),
    ],
)
def test_value_of_one_layer_against_a_calculation_without_torch(network, distance, normalisation, pictures):
    weight, bias = (network.features[0].get_parameter(name).numpy().astype(float) for name in ("weight", "bias"))

    def features(grey):
        picture = np.stack([pictures(grey, c) for c in range(3)])
        padded = np.pad(picture, ((0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
        return np.maximum(np.einsum("oikl,ihwkl->ohw", weight, windows) + bias[:, None, None], 0)

    pred, label = pair(2, 2, 6, 7)  # two images of two channels: four grey pictures
    differences = [
        features(pred[b, c].double().numpy()) - features(label[b, c].double().numpy())
        for b in range(2)
        for c in range(2)
    ]
    expected = np.mean(np.abs(differences) if distance == "l1" else np.square(differences))
    loss = PerceptualLoss(network, {"block1_conv1": 3.0}, distance, normalisation)
    assert expected > 0
    assert loss(pred, label).item() == pytest.approx(3 * expected, rel=1e-4)


def test_layers_are_summed_with_their_weights(network):
    pred, label = pair(1, 1, 8, 8)
    first, second = (PerceptualLoss(network, [layer])(pred, label).item() for layer in LAYERS)
    assert min(first, second) > 0
    assert PerceptualLoss(network)(pred, label).item() == pytest.approx(first + second)
    weights = {LAYERS[1]: 0.5, LAYERS[0]: 2.0}
    assert PerceptualLoss(network, weights)(pred, label).item() == pytest.approx(2 * first + 0.5 * second)
    assert PerceptualLoss(network, {LAYERS[0]: 0, LAYERS[1]: 1})(pred, label).item() == pytest.approx(second)


@pytest.mark.parametrize("shape", [(1, 1, 9, 8), (1, 1, 4, 5, 6)])
def test_identical_images_are_at_distance_zero(network, shape):
    image = pair(*shape)[0]
    assert PerceptualLoss(network)(image, image.clone()).item() == 0


def test_the_gradient_reaches_the_prediction_only(network):
    pred, label = (image.requires_grad_() for image in pair(1, 1, 8, 8).unbind())
    loss = PerceptualLoss(network).train()
    loss(pred, label).backward()
    assert pred.grad is not None
    assert pred.grad.abs().min() > 0
    assert label.grad is None
    assert all(p.grad is None for p in loss.parameters())
    assert not any(p.requires_grad for p in loss.parameters())


def test_a_volume_is_the_mean_over_the_slices_of_three_directions(network):
    pred, label = pair(2, 1, 4, 5, 6)
    loss = PerceptualLoss(network)
    means = []
    for axis in (2, 3, 4):
        slices = zip(pred.unbind(axis), label.unbind(axis), strict=True)
        means.append(np.mean([loss(x, y).item() for x, y in slices]))
    assert loss(pred, label).item() == pytest.approx(np.mean(means), rel=1e-5)


def test_autocast_and_channels_last_agree_with_float32(network):
    pred, label = pair(2, 1, 16, 12)
    plain = PerceptualLoss(network)(pred, label)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(PerceptualLoss(network)(pred, label), plain)
    turned = (image.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last) for image in (pred, label))
    torch.testing.assert_close(PerceptualLoss(network)(*turned), plain)
    last = PerceptualLoss(network.to(memory_format=torch.channels_last))
    torch.testing.assert_close(last(pred, label), plain)


def test_half_precision_of_a_network_under_autocast_is_taken(network):
    pred, label = pair(1, 1, 8, 8)
    loss = PerceptualLoss(network)
    result = loss(pred.bfloat16(), label)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, loss(pred.bfloat16().float(), label))


def test_a_shifted_edge_costs_more_than_a_brightness_change_of_equal_error(real_network):
    edge = torch.zeros(1, 1, 64, 64)
    edge[..., 32:] = 0.6
    edge = torch.from_numpy(gaussian_filter(edge.numpy(), (0, 0, 0.7, 0.7))) + 0.2
    shifted = edge.roll(1, dims=-1)
    shifted[..., 0] = edge[..., 0]
    brighter = edge + (shifted - edge).square().mean().sqrt()
    assert (brighter - edge).square().mean() == pytest.approx((shifted - edge).square().mean().item(), rel=1e-5)
    for distance in ("l1", "l2"):
        loss = PerceptualLoss(real_network, distance=distance)
        assert loss(shifted, edge) > 1.5 * loss(brighter, edge)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"distance": "cosine"}, "distance is 'cosine'; choose one of l1, l2"),
        ({"normalisation": "keras"}, "normalisation is 'keras'"),
        ({"layers": ["block1_conv2"]}, "layer 'block1_conv2' is not among those of the network: block1_conv1"),
        ({"layers": {"block1_conv1": -1.0}}, "not negative"),
        ({"layers": {"block1_conv1": float("nan")}}, "finite"),
        ({"layers": {"block1_conv1": 0.0}}, "no layer has a weight above 0"),
    ],
)
def test_arguments_that_are_refused(network, arguments, words):
    with pytest.raises(UsageError, match=words):
        PerceptualLoss(network, **arguments)


def test_images_that_do_not_fit_are_refused(network):
    loss = PerceptualLoss(network)
    with pytest.raises(UsageError, match=r"\(1, 9\) pixels are too small.*needs 2"):
        loss(*pair(1, 1, 1, 9))
    with pytest.raises(ValueError, match="both must be one"):
        loss(torch.rand(1, 1, 8, 8), torch.rand(1, 3, 8, 8))
