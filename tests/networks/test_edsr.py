from __future__ import annotations

from typing import Any

import pytest
import torch

from custom.degradations import AreaMean, GaussianBlur
from custom.errors import UsageError
from custom.networks import EDSR
from custom.networks.architecture import architecture_of

SMALL: dict[str, Any] = {"features": 4, "blocks": 2}


def volume(*shape: int) -> torch.Tensor:
    return torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(0))


def test_the_published_form_has_the_parameters_of_its_source() -> None:
    def count(**options: Any) -> int:
        return sum(p.numel() for p in EDSR(**options).parameters())

    assert count() == 2_105_985
    assert count(long_skip=False) == 1_995_329


@pytest.mark.parametrize(
    ("scale", "unshuffle"), [(1, 1), (2, 1), ((1, 2, 2), 1), (1, 4), ((2, 1, 1), (1, 2, 3))], ids=str
)
def test_any_size_is_enlarged_by_the_scale(scale: Any, unshuffle: Any) -> None:
    network = EDSR(scale_factor=scale, unshuffle=unshuffle, **SMALL)
    sizes = (5, 9, 7)
    factors = (scale,) * 3 if isinstance(scale, int) else scale
    with torch.no_grad():
        assert network(volume(*sizes)).shape[2:] == tuple(n * s for n, s in zip(sizes, factors, strict=True))


def test_two_dimensions() -> None:
    network = EDSR(spatial_dims=2, scale_factor=2, skip=AreaMean(2, 2).upsampler("cubic"), gated=True, **SMALL)
    with torch.no_grad():
        assert network(torch.rand(2, 1, 5, 6)).shape == (2, 1, 10, 12)


@pytest.mark.parametrize("unshuffle", [1, 2])
def test_nothing_beyond_the_receptive_radius_matters(unshuffle: int) -> None:
    network = EDSR(features=3, blocks=1, unshuffle=unshuffle).double().eval()
    radius = network.receptive_radius[0]
    size = 2 * radius + 9
    image = volume(size, 4, 4).double().requires_grad_()
    centre = size // 2
    network(image)[0, 0, centre, 1, 1].backward()
    seen = image.grad.abs().sum((0, 1, 3, 4)).nonzero().flatten() - centre  # type: ignore[union-attr]
    assert max(-int(seen.min()), int(seen.max())) in ((radius,) if unshuffle == 1 else range(radius - 1, radius + 1))


def test_tiles_that_start_at_the_alignment_see_the_same_blocks() -> None:
    network = EDSR(features=3, blocks=1, unshuffle=2).eval()
    image = volume(40, 6, 6)
    with torch.no_grad():
        whole = network(image)
        part = network(image[:, :, 12:])
    radius = network.receptive_radius[0]
    torch.testing.assert_close(part[:, :, radius:], whole[:, :, 12 + radius :], atol=1e-6, rtol=1e-5)


def test_equivariance_to_scale_and_shift() -> None:
    blur = GaussianBlur(1.0, 3)
    network = EDSR(unshuffle=2, skip=blur.upsampler("cubic"), equivariant=True, gated=True, **SMALL)
    torch.nn.init.normal_(network.gates.factors.weight)
    image = volume(7, 8, 9)
    with torch.no_grad():
        result = network(image)
        assert (result - image).abs().max() > 0.01
        torch.testing.assert_close(network(3 * image - 2), 3 * result - 2, atol=1e-4, rtol=1e-4)
        flat = torch.full((1, 1, 6, 6, 6), 7.0)
        torch.testing.assert_close(network(flat), flat)


def test_gates_open_alike_in_a_tile_that_is_given_the_description_of_the_whole() -> None:
    network = EDSR(gated=True, **SMALL)
    torch.nn.init.normal_(network.gates.factors.weight)
    image = volume(12, 12, 12)
    with torch.no_grad():
        assert not torch.equal(network(image[:, :, :6]), network(image[:, :, :6], network.describe(image)))
        torch.testing.assert_close(network(image, network.describe(image)), network(image))


@pytest.mark.parametrize("options", [{}, {"unshuffle": 2, "gated": True}, {"scale_factor": (1, 2, 2), "icnr": True}])
def test_scripted_gives_the_same(options: dict[str, Any]) -> None:
    network = EDSR(**SMALL, **options).eval()
    image = volume(5, 6, 7)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.script(network)(image), network(image))


def test_icnr_starts_without_a_checkerboard() -> None:
    with torch.no_grad():
        result = EDSR(scale_factor=2, icnr=True, **SMALL)(volume(4, 5, 6))
    blocks = result.unfold(2, 2, 2).unfold(3, 2, 2).unfold(4, 2, 2)
    torch.testing.assert_close(blocks.amax((-3, -2, -1)), blocks.amin((-3, -2, -1)))


def test_the_weights_know_their_form() -> None:
    texts = {
        architecture_of(EDSR(**SMALL, **options).state_dict())
        for options in ({}, {"residual_scaling": 0.1}, {"unshuffle": 2}, {"long_skip": False}, {"gated": True})
    }
    assert len(texts) == 5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"spatial_dims": 4}, "spatial_dims"),
        ({"scale_factor": 0}, "scale_factor"),
        ({"scale_factor": (1, 2)}, "scale_factor"),
        ({"unshuffle": 1.5}, "unshuffle"),
        ({"features": 0}, "features"),
        ({"blocks": 0}, "blocks"),
        ({"equivariant": True}, "skip"),
    ],
)
def test_options_that_make_no_sense_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        EDSR(**options)
