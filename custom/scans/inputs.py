"""The scans that a user hands to inference."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from torch.utils.data import Dataset

from custom.errors import input_error_in, is_fault_of_all, working_on
from custom.scans.reference import ScanReference

__all__ = ["ScanDataset"]

logger = logging.getLogger(__name__)


class ScanDataset(Dataset[Mapping[Hashable, Any]]):
    """Scans, read one by one; the item of a scan that cannot be read is {"error": message}, and the others go on.

    Whatever is raised for one scan is the failure of this scan, unless it would fail for all of them.

    Args:
        data: items for the transform: {"image": a scan, ...}.
        transform: loads an item.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, ScanReference]],
        transform: Callable[[Mapping[str, Any]], Mapping[Hashable, Any]],
    ) -> None:
        self.data = data
        self.transform = transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Mapping[Hashable, Any]:
        """Load one scan."""
        try:
            with working_on(self.data[index]["image"].path):
                return self.transform(dict(self.data[index]))
        except Exception as error:
            if is_fault_of_all(error):
                raise
            failure = input_error_in(error)
            logger.debug("raised for this scan:", exc_info=True)
            return {"error": str(failure)}
