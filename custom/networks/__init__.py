"""The networks, one file a family: tensors in, tensors out."""

from custom.networks.espcn import ESPCN
from custom.networks.srresnet import SRResNet
from custom.networks.vgg import VGG

__all__ = ["ESPCN", "VGG", "SRResNet"]
