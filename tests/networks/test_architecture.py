from __future__ import annotations

import torch
from torch import nn

from custom.networks.architecture import architecture_of, store_architecture


def test_a_description_goes_with_the_weights_and_keeps_its_letters() -> None:
    network = nn.Conv2d(1, 1, 1)
    assert architecture_of(network.state_dict()) == ""
    store_architecture(network, "ESPCN x4, Größe 3")
    assert architecture_of(network.half().state_dict()) == "ESPCN x4, Größe 3"
    assert sum(parameter.numel() for parameter in network.parameters()) == 2
    # What another program has made of the bytes does not stop the comparison.
    assert architecture_of({"architecture": torch.tensor([69.0, 255.0])}) == "E\ufffd"
