"""The scans that a user hands to inference."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from torch.utils.data import Dataset

from custom.errors import input_error_in

__all__ = ["ScanDataset"]


class ScanDataset(Dataset[Mapping[Hashable, Any]]):
    """Scans, read one by one; the item of a scan that cannot be read is {"error": message}, and the others go on.

    Args:
        data: items for the transform.
        transform: loads an item.
    """

    def __init__(
        self, data: Sequence[Mapping[str, Any]], transform: Callable[[Mapping[str, Any]], Mapping[Hashable, Any]]
    ) -> None:
        self.data = data
        self.transform = transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Mapping[Hashable, Any]:
        """Load one scan."""
        try:
            return self.transform(dict(self.data[index]))
        except Exception as error:
            cause = input_error_in(error)
            if cause is None:
                raise
            return {"error": str(cause)}
