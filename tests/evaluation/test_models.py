from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from bundle_cases import BUNDLES

from custom.errors import MissingFileError
from custom.evaluation.models import AppliedModel, load_applied_models


class Offset(torch.nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        assert not self.training
        return image + 0.5


def test_a_model_is_applied_in_the_units_of_the_scan() -> None:
    applied = AppliedModel(Offset().train(), lambda image, network: network(image))
    image = torch.full((1, 2, 4, 4), 300.0)
    torch.testing.assert_close(applied(image), torch.full((1, 2, 4, 4), 450.0))
    assert float(image.max()) == 300


def test_models_of_a_bundle_have_networks_and_inferers_of_their_own() -> None:
    models = {"plain": [], "context": ["context"], "consistent": [{"data_consistency": "exact"}]}
    loaded = load_applied_models(models, BUNDLES / "brain_mri_espcn")
    volume = torch.rand(1, 1, 9, 8, 3) * 100
    results = [model(volume) for model in loaded.values()]
    assert {tuple(result.shape) for result in results} == {(1, 1, 36, 32, 3)}
    assert not torch.equal(results[0], results[1])
    blocks = [F.avg_pool3d(result, (4, 4, 1)) for result in results]
    torch.testing.assert_close(blocks[2], volume, rtol=1e-4, atol=0.01)
    assert float((blocks[0] - volume).abs().max()) > 1


def test_an_overlay_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"no_such\.json: no such file; model 'x'"):
        load_applied_models({"x": ["no_such"]}, BUNDLES / "brain_mri_espcn")
