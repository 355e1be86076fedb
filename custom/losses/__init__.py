"""What a network is trained to make small: on plain tensors, `loss(pred, label)`."""

from custom.losses.perceptual import PerceptualLoss
from custom.losses.weighted_sum import WeightedSum

__all__ = ["PerceptualLoss", "WeightedSum"]
