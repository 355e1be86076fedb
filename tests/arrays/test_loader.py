from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from custom.arrays import PatchLoader, PrefetchLoader, RandomPatches
from custom.errors import UsageError


class _Numbers(Dataset[Tensor]):
    def __init__(self, length: int, broken: int | None = None) -> None:
        self.length = length
        self.broken = broken

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Tensor:
        if index == self.broken:
            raise MemoryError(f"item {index}")
        return torch.tensor(index)


def test_batches_are_those_of_a_plain_loader_in_order() -> None:
    loader = PrefetchLoader(_Numbers(7), batch_size=2)
    for _ in range(2):
        assert [batch.tolist() for batch in loader] == [[0, 1], [2, 3], [4, 5], [6]]


def test_an_error_in_the_thread_is_raised_and_does_not_end_the_epoch_early() -> None:
    batches = iter(PrefetchLoader(_Numbers(7, broken=5), batch_size=2))
    assert [next(batches).tolist(), next(batches).tolist()] == [[0, 1], [2, 3]]
    with pytest.raises(MemoryError, match="item 5"):
        next(batches)


def test_a_loader_without_a_batch_is_refused() -> None:
    with pytest.raises(UsageError, match="patches_per_epoch"):
        PrefetchLoader(_Numbers(3), batch_size=4, drop_last=True)


def test_batches_of_patches_are_those_of_the_epoch() -> None:
    image = torch.rand(1, 24, 20, generator=torch.Generator().manual_seed(0)) + 0.5
    patches = RandomPatches([{}], lambda item: {"label": image}, [8, 8], (4, 4), (0, 0), patches_per_epoch=9)
    loader = PatchLoader(patches, batch_size=4)
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        batches = [batch["label"] for batch in loader]
        assert [len(batch) for batch in batches] == [4, 4]
        expected = torch.stack([patches[9 * epoch + index]["label"] for index in range(8)])
        assert torch.equal(torch.cat(batches), expected)
