"""What a network takes, and results in files where they would not fit."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from enlarging_network import Enlarge
from torch import nn

from custom.errors import UsageError
from custom.inferers import Frames, MemoryLimit, Tiles, VolumeSlices
from custom.inferers import memory as module
from custom.inferers.memory import tensor_memory


def _left(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(module, "memory_left", lambda limit: size)


def test_the_memory_of_a_network_is_that_of_its_tensors_at_their_height() -> None:
    """8 channels and the 4 made of them at once, 60 voxels of float32; the third layer needs 4 and 1, the ReLU none."""
    network = nn.Sequential(nn.Conv2d(1, 8, 1), nn.ReLU(inplace=True), nn.Conv2d(8, 4, 1), nn.Conv2d(4, 1, 1))
    image = torch.rand(1, 1, 600, 10)[:, :, :6]
    assert tensor_memory(lambda: network(image)) == 2.5 * 12 * 60 * 4
    # Views of the input are no new memory, and of two results in turn the first is forgotten.
    assert tensor_memory(lambda: (network(image).sum(), network(image[:, :, :3]))) == 2.5 * 12 * 60 * 4


@pytest.mark.parametrize(("shape", "halo"), [((20, 30), None), ((13, 9, 11), None), ((13, 9, 11), 0)])
@torch.no_grad()
def test_tiles_are_the_largest_that_fit(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, shape: tuple[int, ...], halo: int | None
) -> None:
    """The network has 3 channels at its height with those after the ReLU, then an image of 1 and its enlargement."""
    network, image = Enlarge(len(shape)), torch.rand(1, 1, *shape)
    whole = network(image)
    seen: list[int] = []
    network.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].numel()))
    for_a_voxel = 2.5 * 4 * max(6, 1 + 2 ** len(shape))
    allowed = 400 if len(shape) == 2 else 600
    _left(monkeypatch, int(2 * allowed * for_a_voxel) + 1)
    tiles = Tiles(halo=halo, scale_factor=2, memory=MemoryLimit(100))
    with caplog.at_level(logging.INFO):
        result = tiles(image, network)
    assert "it sees tiles of" in caplog.text
    assert allowed / 2 < max(seen[1:]) <= allowed  # the first is the piece that is measured
    assert halo == 0 or torch.allclose(result, whole, atol=1e-5)


@torch.no_grad()
def test_an_image_that_fits_is_seen_whole_and_one_that_never_fits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    network, image = Enlarge(2), torch.rand(1, 1, 20, 30)
    _left(monkeypatch, 10**6)
    assert torch.equal(Tiles(scale_factor=2, memory=MemoryLimit(1))(image, network), network(image))
    _left(monkeypatch, 2000)
    with pytest.raises(UsageError, match="MB more with --memory_limit"):
        Tiles(scale_factor=2, memory=MemoryLimit(1))(image, network)


@pytest.mark.parametrize("inferer", [Frames, VolumeSlices, Tiles])
@torch.no_grad()
def test_a_result_that_does_not_fit_is_in_a_file_and_is_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path, inferer: Any
) -> None:
    shape, keys = {
        Frames: ((1, 3, 8, 9), {}),
        VolumeSlices: ((1, 1, 8, 9, 5), {"pixels": 144}),
        Tiles: ((2, 1, 8, 9), {"tile_size": 4, "halo": 2, "scale_factor": 2}),
    }[inferer]
    image, network = torch.rand(shape), Enlarge(2)
    expected = inferer(**keys)(image, network)
    _left(monkeypatch, 100)
    with caplog.at_level(logging.INFO):
        result = inferer(**keys, memory=MemoryLimit(1, tmp_path))(image, network)
    assert torch.equal(result, expected)
    assert "it is kept in a file" in caplog.text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("limit", [0, "much", -3])
def test_a_limit_that_is_none_is_refused(limit: Any) -> None:
    with pytest.raises(UsageError, match="memory_limit"):
        MemoryLimit(limit)
