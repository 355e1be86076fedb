"""What is known of a scan that was found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from custom.errors import InputError
from custom.scans.dicom.frame import DicomStack

__all__ = ["ScanReference"]


@dataclass(frozen=True)
class ScanReference:
    """A scan in a file or folder: all that reading it and naming its result need, without looking for it again.

    `list_scans` and `find_scan` make references.

    Attributes:
        path: the file; the first one of a DICOM series in the order of slices, or, where its files lie in several
            folders, the folder above these.
        format: the kind of file.
        name: of the scan in its folder, without the ending of its format.
        folder: the folder that holds the scan: the file, or the folder of a DICOM series.
        stack: the frames of a DICOM series in order; None for other formats, and where there is a problem.
        dataset: name of the dataset of an HDF5 file that is wanted; "" for its only volume.
        problem: why a DICOM series cannot be read, a whole message; "" where nothing is known to be wrong.
    """

    path: Path
    format: Literal["nifti", "picture", "hdf5", "dicom"]
    name: str
    folder: Path
    stack: DicomStack | None = None
    dataset: str = ""
    problem: str = ""

    def dicom_stack(self) -> DicomStack:
        """Return the frames of a DICOM series in order.

        Raises:
            InputError: for a series that cannot be read, with its problem; for a scan of another format.
        """
        if self.stack is None:
            raise InputError(self.problem or f"{self.path}: is not DICOM")
        return self.stack
