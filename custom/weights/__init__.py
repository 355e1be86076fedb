"""Weights and checkpoints: plain tensors in files, never code."""

from custom.weights.checkpoints import choose_checkpoint, load_models, load_weights
from custom.weights.files import consistency_limit, read_checkpoint, save_checkpoint
from custom.weights.vgg import load_vgg

__all__ = [
    "choose_checkpoint",
    "consistency_limit",
    "load_models",
    "load_vgg",
    "load_weights",
    "read_checkpoint",
    "save_checkpoint",
]
