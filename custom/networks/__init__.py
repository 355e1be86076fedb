"""The networks, one file a family: tensors in, tensors out."""

from custom.networks.edsr import EDSR
from custom.networks.espcn import ESPCN
from custom.networks.gates import ImageGates
from custom.networks.srresnet import SRResNet
from custom.networks.vgg import VGG
from custom.networks.zero_sum import ZeroSumConv2d, ZeroSumConv3d

__all__ = ["EDSR", "ESPCN", "VGG", "ImageGates", "SRResNet", "ZeroSumConv2d", "ZeroSumConv3d"]
