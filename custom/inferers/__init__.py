"""How a network is applied to a whole scan: frames, slices, exact tiles, flips, precision, agreement with the input.

All are MONAI inferers.
"""

from custom.inferers.bounds import Bounds
from custom.inferers.consistency import DataConsistency
from custom.inferers.flips import FlipEnsemble
from custom.inferers.frames import Frames
from custom.inferers.memory import MemoryLimit
from custom.inferers.precision import Autocast, Precision
from custom.inferers.receptive_radius import receptive_radius
from custom.inferers.slices import VolumeSlices
from custom.inferers.tiles import Tiles

__all__ = [
    "Autocast",
    "Bounds",
    "DataConsistency",
    "FlipEnsemble",
    "Frames",
    "MemoryLimit",
    "Precision",
    "Tiles",
    "VolumeSlices",
    "receptive_radius",
]
