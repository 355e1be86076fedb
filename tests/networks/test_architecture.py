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
    store_architecture(network, "ESPCN x4", equivariant=True, gated=True)
    assert architecture_of(network.state_dict()) == "ESPCN x4, equivariant, gated"
    # A file may hold anything under this name.
    assert architecture_of({"architecture": torch.tensor([69, 255], dtype=torch.uint8)}) == "E\ufffd"
    meta, huge = torch.empty(3, dtype=torch.uint8, device="meta"), torch.ones(1, dtype=torch.uint8).expand(10**15)
    for value in (meta, huge, torch.ones(3), torch.ones(2, 2, dtype=torch.uint8), "a text", None):
        assert architecture_of({"architecture": value}) == ""
