"""Scans that cannot be read do not stop the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from monai.transforms import Compose, Lambda

from custom.errors import InputError
from custom.scans import ScanDataset


def test_a_scan_that_cannot_be_read_is_an_item_with_the_error() -> None:
    def read(item: Mapping[str, Any]) -> Mapping[str, Any]:
        if item["image"] == "bad.nii":
            raise InputError("bad.nii: truncated")
        return item

    # MONAI wraps the errors of its transforms
    scans = ScanDataset([{"image": "a.nii"}, {"image": "bad.nii"}], Compose([Lambda(read)]))
    assert [scans[number] for number in range(len(scans))] == [{"image": "a.nii"}, {"error": "bad.nii: truncated"}]


def test_errors_of_the_program_are_raised() -> None:
    scans = ScanDataset([{"image": "a.nii"}], lambda item: {"image": item["label"]})
    with pytest.raises(KeyError, match="label"):
        scans[0]
