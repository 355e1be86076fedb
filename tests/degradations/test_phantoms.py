"""Phantoms: constant levels, clean edges."""

from __future__ import annotations

import pytest
import torch

from custom.degradations.phantoms import phantoms


@pytest.mark.parametrize("sizes", [(96, 80), (48, 40, 44)])
def test_phantoms_are_flat_but_for_edges_of_one_voxel(sizes: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    images = phantoms(16, sizes)
    assert images.shape == (16, 1, *sizes)
    assert float(images.min()) >= 0
    assert float(images.max()) <= 1
    for image in images[:, 0]:
        levels, counts = image.unique(return_counts=True)
        # Six levels at most, the ground and five shapes; all other values belong to voxels that an edge cuts.
        flat = levels[counts.argsort(descending=True)[:6]]
        is_flat = torch.isin(image, flat)
        assert is_flat.float().mean() > (0.85 if len(sizes) == 2 else 0.6)
        # Two steps away from a voxel on an edge there is a flat one.
        surrounded = torch.nn.functional.max_pool2d(is_flat.float().reshape(1, -1, *sizes[-2:]), 5, 1, 2)
        assert surrounded.mean() > 0.99


def test_about_half_of_the_grounds_are_air() -> None:
    torch.manual_seed(0)
    dark = (phantoms(200, (64, 64)) == 0).flatten(1).any(1)
    # Of 100 grounds (standard deviation 7) some are wholly covered by shapes.
    assert 50 < int(dark.sum()) < 120


def test_the_generator_of_torch_decides() -> None:
    torch.manual_seed(3)
    first = phantoms(2, (16, 16))
    torch.manual_seed(3)
    assert torch.equal(first, phantoms(2, (16, 16)))
    assert not torch.equal(first, phantoms(2, (16, 16)))
