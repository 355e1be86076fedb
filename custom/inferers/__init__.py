"""How a network is applied to a whole scan: frames, slices, exact tiles, flips, mixed precision; MONAI inferers all."""

from custom.inferers.flips import FlipEnsemble
from custom.inferers.frames import Frames
from custom.inferers.precision import Autocast, Precision
from custom.inferers.slices import VolumeSlices
from custom.inferers.tiles import Tiles

__all__ = ["Autocast", "FlipEnsemble", "Frames", "Precision", "Tiles", "VolumeSlices"]
