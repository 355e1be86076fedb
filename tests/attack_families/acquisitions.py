"""Two acquisitions of one geometry in one folder, which look like one scan of twice as many images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from dicom_files import Layout, write_classic
from pydicom.dataset import Dataset

from attack_families.attack import Attack, WrongError, check_message
from custom.errors import InputError
from custom.scans import list_scans, read_scan

__all__ = ["acquisitions"]

_LAYOUT = Layout(shape=(6, 5, 6))
# What tells the second acquisition from the first.
_DIFFERENCES: dict[str, dict[str, object]] = {
    "SeriesNumber": {"SeriesNumber": 7},
    "SeriesDescription": {"SeriesDescription": "t1_tse_sag"},
    "contrast agent": {"ContrastBolusAgent": "Gadovist"},
    "repetition time": {"RepetitionTime": "480"},
    "flip angle": {"FlipAngle": "15"},
    "inversion time": {"InversionTime": "900"},
    "sequence": {"ScanningSequence": "GR"},
    "ProtocolName": {"ProtocolName": "t1_tse"},
    "all of them": {"SeriesNumber": 7, "SeriesDescription": "t1", "RepetitionTime": "480", "FlipAngle": "15"},
}
_FIRST = {"FlipAngle": "90", "InversionTime": "150", "ProtocolName": "t2_tse"}
# Where the second acquisition lies, in slices beyond the first: at the same places, between them, behind them.
_PLACES = {"same": 0.0, "between": 0.5, "behind": 6.0}


def acquisitions(rng: np.random.Generator) -> Iterator[Attack]:
    """Tell apart, or refuse, what differs in a number, a description or the contrast."""
    for what, difference in _DIFFERENCES.items():
        for uid in ("1.2.3", "", None):
            for place, shift in _PLACES.items():
                for numbering in ("own", "on"):
                    words = f"another {what}, {place} places, UID {uid!r}, InstanceNumbers {numbering}"
                    offset = 0 if numbering == "own" else 6

                    def steps(
                        folder: Path,
                        difference: dict[str, object] = difference,
                        uid: str | None = uid,
                        shift: float = shift,
                        offset: int = offset,
                        axis: str = str(rng.choice(["time", "acquisition", "repeat"])),
                    ) -> None:
                        _two(folder, difference, uid, shift, offset, axis)

                    yield Attack(words, steps)


def _two(folder: Path, difference: dict[str, object], uid: str | None, shift: float, offset: int, axis: str) -> None:
    """Write two acquisitions into one folder, and read what is there."""

    def write(name: str, layout: Layout, values: Mapping[str, object], numbers: int) -> None:
        def change(data: Dataset, k: int, t: int) -> Dataset:
            for keyword, value in values.items():
                setattr(data, keyword, value)
            data.InstanceNumber = int(data.InstanceNumber) + numbers
            data.SOPInstanceUID += f".{name}"
            data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
            if uid is None:
                del data.SeriesInstanceUID
            else:
                data.SeriesInstanceUID = uid
            return data

        for file in write_classic(folder / name, layout, change=change):
            (folder / "in").mkdir(exist_ok=True)
            file.rename(folder / "in" / f"{name}{file.name}")

    first = Layout(shape=_LAYOUT.shape, axis=axis)
    second = Layout(
        shape=_LAYOUT.shape, axis=axis, origin=tuple(first.position(0) + shift * first.spacing[2] * first.normal)
    )
    write("1", first, _FIRST, 0)
    write("2", second, {**_FIRST, **difference}, offset)
    refused = ""
    for scan in list_scans(folder / "in"):
        try:
            read_scan(scan)
        except InputError as err:
            refused = str(err)
            check_message(refused, folder)
            continue
        origins = {file.name[0] for file in scan.dicom_stack().files}
        if len(origins) > 1:
            raise WrongError(f"one scan of {len(scan.dicom_stack().files)} images of both")
    if refused:
        raise InputError(refused)
