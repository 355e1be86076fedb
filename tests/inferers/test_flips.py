from __future__ import annotations

import torch
from enlarging_network import Enlarge

from custom.inferers import FlipEnsemble


@torch.no_grad()
def test_flip_ensemble_commutes_with_flips_and_is_the_mean() -> None:
    network = Enlarge(2)
    image = torch.rand(1, 1, 6, 8)
    result = FlipEnsemble()(image, network)
    torch.testing.assert_close(FlipEnsemble()(image.flip(2), network).flip(2), result)
    by_hand = [network(image.flip(f)).flip(f) for f in ([], [2], [3], [2, 3])]
    torch.testing.assert_close(result, torch.stack(by_hand).mean(0))
    assert torch.equal(FlipEnsemble(enabled=False)(image, network), network(image))
