"""How a network is applied to a whole scan: slices, exact tiles, flips, mixed precision. All are MONAI inferers."""

from custom.inferers.flips import FlipEnsemble
from custom.inferers.precision import Autocast, autocast_dtype
from custom.inferers.slices import VolumeSlices
from custom.inferers.tiles import Tiles

__all__ = ["Autocast", "FlipEnsemble", "Tiles", "VolumeSlices", "autocast_dtype"]
