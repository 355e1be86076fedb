from __future__ import annotations

import torch
from torch import Tensor

from custom.inferers import Floor


def sharpened(image: Tensor) -> Tensor:
    """Twice the contrast about the mean."""
    return 2 * image - image.mean()


def test_results_end_a_little_below_the_input() -> None:
    image = torch.tensor([[[[0.0, 0.4], [0.6, 1.0]]]])
    # Without the floor 0.0 becomes -0.5; all other values are those of the network.
    expected = torch.tensor([[[[-0.1, 0.3], [0.7, 1.5]]]])
    torch.testing.assert_close(Floor(0.1)(image, sharpened), expected)
    torch.testing.assert_close(Floor(0.0)(image, sharpened), expected.clamp(min=0.0))


def test_a_shifted_and_scaled_scan_gives_the_shifted_and_scaled_result() -> None:
    image = torch.rand(1, 3, 6, 5)
    result = Floor()(image, sharpened)
    assert result.min() > sharpened(image).min()
    torch.testing.assert_close(Floor()(5 * image - 2, sharpened), 5 * result - 2)


def test_the_input_is_left_alone() -> None:
    image = torch.rand(1, 1, 4, 4)
    before = image.clone()
    Floor()(image, lambda x: x * 1.0 - 0.5)
    assert torch.equal(image, before)


def test_gradients_pass() -> None:
    image = torch.rand(1, 1, 4, 4)
    weight = torch.ones((), requires_grad=True)
    Floor()(image, lambda x: weight * x).sum().backward()
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, image.sum())
