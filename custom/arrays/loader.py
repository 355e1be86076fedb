"""Loaders that prepare the next batch while the device works on this one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from torch.utils.data import DataLoader

from custom.arrays.patches import PatchSampler, RandomPatches
from custom.errors import UsageError

__all__ = ["PatchLoader", "PrefetchLoader"]


class PrefetchLoader(DataLoader[Any]):
    """A `DataLoader` that reads one batch ahead in a thread; an error there is raised where the batch is asked for.

    (MONAI's ThreadDataLoader takes an error in its thread for the end of the data.)

    Raises:
        UsageError: when an epoch holds no batch, which an engine would take for a finished training.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if len(self) == 0:
            raise UsageError("an epoch holds no batch: give patches_per_epoch of at least batch_size")

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        batches = super().__iter__()
        end = object()
        with ThreadPoolExecutor(1) as thread:
            following = thread.submit(next, batches, end)
            while (batch := following.result()) is not end:
                following = thread.submit(next, batches, end)
                yield batch


class PatchLoader(PrefetchLoader):
    """Batches of random patches, one ahead; each of several processes gets its share of every batch.

    Args:
        dataset: the patches.
        batch_size: of all processes together.
        num_workers: of the `DataLoader`.

    Raises:
        UsageError: when the processes cannot share batch and epoch evenly, and as `PrefetchLoader`.
    """

    def __init__(self, dataset: RandomPatches, batch_size: int, num_workers: int = 0) -> None:
        sampler = PatchSampler(dataset, batch_size)
        share = batch_size // sampler.num_replicas
        super().__init__(dataset, batch_size=share, sampler=sampler, num_workers=num_workers, drop_last=True)
