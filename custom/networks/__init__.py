"""The networks, one file a family: tensors in, tensors out."""

from custom.networks.espcn import ESPCN
from custom.networks.pixel_shuffle import PixelShuffle, initialise_icnr
from custom.networks.srresnet import SRResNet

__all__ = ["ESPCN", "PixelShuffle", "SRResNet", "initialise_icnr"]
