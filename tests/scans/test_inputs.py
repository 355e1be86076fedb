"""Scans that cannot be read do not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from monai.transforms import Compose, Lambda

from custom.errors import InputError, UsageError, input_error_in
from custom.scans import ScanDataset, ScanReference


def _scans(read: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> ScanDataset:
    """Two scans; the reader's errors are wrapped, as MONAI does it."""
    names = ("a", "bad")
    references = [ScanReference(Path(f"{name}.nii"), "nifti", name, Path()) for name in names]
    return ScanDataset([{"image": reference} for reference in references], Compose([Lambda(read)]))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (InputError("bad.nii: truncated"), "bad.nii: truncated"),
        (KeyError("label"), "bad.nii: cannot be used (KeyError: 'label'; --debug true shows where this comes from)"),
        (MemoryError(), "bad.nii: cannot be used (not enough memory; give a smaller tile_size"),
        (RecursionError("too deep\nat line 3"), "bad.nii: cannot be used (RecursionError: too deep; "),
    ],
)
def test_whatever_is_raised_for_a_scan_becomes_its_item(error: Exception, words: str) -> None:
    def read(item: Mapping[str, Any]) -> Mapping[str, Any]:
        if item["image"].name == "bad":
            raise error
        return {"image": item["image"].name}

    scans = _scans(read)
    assert scans[0] == {"image": "a"}
    assert str(scans[1]["error"]).startswith(words)


def test_a_wrong_command_ends_the_run() -> None:
    def read(_: Mapping[str, Any]) -> Mapping[str, Any]:
        raise UsageError("largest_size is -1")

    with pytest.raises(RuntimeError) as caught:
        _scans(read)[0]
    assert isinstance(input_error_in(caught.value), UsageError)
