"""The networks, one file a family: tensors in, tensors out."""

from custom.networks.espcn import ESPCN

__all__ = ["ESPCN"]
