"""Several losses as one, whose parts can be looked at."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor, nn

from custom.errors import UsageError

__all__ = ["WeightedSum"]


class WeightedSum(nn.Module):
    """Sum of losses, each times its weight.

    Args:
        losses: by name, modules that take `(pred, label)`, both `(B, C, *spatial)`, and return one number.
        weights: by the same names, finite, 0 or more; a loss of weight 0 is not computed.

    Attributes:
        parts: the terms of the last call by name, without gradient, before they are weighted.

    Raises:
        UsageError: for names that differ, no loss at all, or a weight that is negative or not finite.
    """

    def __init__(self, losses: Mapping[str, nn.Module], weights: Mapping[str, float]) -> None:
        super().__init__()
        if set(losses) != set(weights):
            raise UsageError(f"losses are {sorted(losses)} and weights {sorted(weights)}; give a weight for each loss")
        wrong = {name: weight for name, weight in weights.items() if not (math.isfinite(weight) and weight >= 0)}
        if wrong:
            raise UsageError(f"weights of losses are finite and not negative, got {wrong}")
        self.weights = {name: float(weight) for name, weight in weights.items() if weight > 0}
        if not self.weights:
            raise UsageError("no loss has a weight above 0, so there is nothing to train for")
        self.losses = nn.ModuleDict({name: losses[name] for name in self.weights})
        self.parts: dict[str, Tensor] = {}

    def forward(self, pred: Tensor, label: Tensor) -> Tensor:
        """Return the weighted sum, one number."""
        terms = {name: loss(pred, label) for name, loss in self.losses.items()}
        self.parts = {name: term.detach() for name, term in terms.items()}
        total = sum(weight * terms[name] for name, weight in self.weights.items())
        assert isinstance(total, Tensor)
        return total
