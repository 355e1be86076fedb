"""Changes of single images, for the argument `change` of `dicom_files.write_classic`."""

from __future__ import annotations

from collections.abc import Callable

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import UID

__all__ = ["Change", "at", "claim_syntax", "drop", "item", "raw", "set_values", "without"]

Change = Callable[[Dataset, int, int], "Dataset | None"]


def at(k: int, change: Callable[[Dataset], object]) -> Change:
    """Change slice k alone."""

    def changed(data: Dataset, slice_: int, t: int) -> Dataset:
        if slice_ == k:
            change(data)
        return data

    return changed


def without(*left_out: tuple[int, int]) -> Change:
    """Leave out files, given by slice and frame."""
    return lambda data, k, t: None if (k, t) in left_out else data


def set_values(**values: object) -> Callable[[Dataset], object]:
    """Set elements."""
    return lambda data: [setattr(data, keyword, value) for keyword, value in values.items()]


def raw(keyword: str, value: bytes) -> Callable[[Dataset], object]:
    """Set an element to bytes, which pydicom would not take as its value."""

    def change(data: Dataset) -> None:
        tag = Tag(keyword)
        data._dict[tag] = RawDataElement(tag, dictionary_VR(tag), len(value), value, 0, False, True)

    return change


def drop(keyword: str) -> Callable[[Dataset], object]:
    """Remove an element."""
    return lambda data: delattr(data, keyword)


def claim_syntax(syntax: str) -> Callable[[Dataset], object]:
    """Say that the pixels are compressed, and put there what cannot be decoded."""

    def claim(data: Dataset) -> None:
        data.file_meta.TransferSyntaxUID = UID(syntax)
        data.PixelData = encapsulate([b"no such pixels"])
        data["PixelData"].is_undefined_length = True

    return claim


def item(**values: object) -> Dataset:
    """Make an item of a sequence."""
    made = Dataset()
    set_values(**values)(made)
    return made
