from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from custom.errors import UsageError
from custom.losses import WeightedSum


class Never(nn.Module):
    def forward(self, pred: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        raise AssertionError("a loss of weight 0 was computed")


def test_value_parts_and_gradient() -> None:
    losses = {"l1": nn.L1Loss(), "mse": nn.MSELoss(), "unused": Never()}
    loss = WeightedSum(losses, {"l1": 2, "mse": 0.5, "unused": 0})
    pred, label = torch.tensor([[3.0, 1.0]], requires_grad=True), torch.zeros(1, 2)
    total = loss(pred, label)
    assert total.item() == 2 * 2 + 0.5 * 5
    assert {name: part.item() for name, part in loss.parts.items()} == {"l1": 2.0, "mse": 5.0}
    assert not any(part.requires_grad for part in loss.parts.values())
    total.backward()
    assert pred.grad is not None
    assert pred.grad.tolist() == [[2 * 0.5 + 0.5 * 3.0, 2 * 0.5 + 0.5 * 1.0]]


def test_losses_with_parameters_go_with_the_module() -> None:
    assert [name for name, _ in WeightedSum({"a": nn.PReLU()}, {"a": 1.0}).named_parameters()] == ["losses.a.weight"]


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"mse": 1.0}, r"losses are \['l1'\] and weights \['mse'\]"),
        ({"l1": -1.0}, "not negative"),
        ({"l1": math.inf}, "finite"),
        ({"l1": 0.0}, "no loss has a weight above 0"),
    ],
)
def test_weights_that_are_refused(weights: dict[str, float], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        WeightedSum({"l1": nn.L1Loss()}, weights)
