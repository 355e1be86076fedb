"""Writing a data set as a DICOM file: explicit VR little endian, uncompressed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

__all__ = ["save", "set_pixels"]

_BEFORE_3 = int(pydicom.__version__.split(".")[0]) < 3


def set_pixels(image: Dataset, stored: np.ndarray) -> None:
    """Put pixels and their description into an image.

    Args:
        image: is changed.
        stored: (rows, columns) or (frames, rows, columns), little-endian int16 or uint16.
    """
    image.SamplesPerPixel = 1
    image.Rows, image.Columns = stored.shape[-2:]
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit = 15
    image.PixelRepresentation = int(stored.dtype.kind == "i")
    image.add_new("PixelData", "OW", stored.tobytes())


def save(image: Dataset, path: Path) -> None:
    """Write a data set as a file; call it within `headers.lenient_pydicom()`.

    Raises:
        OSError: for a disk that is full and the like.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = image.SOPClassUID
    meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta = meta
    image.preamble = b"\0" * 128
    try:
        with path.open("wb") as stream:
            if _BEFORE_3:
                image.is_little_endian, image.is_implicit_VR = True, False
                image.save_as(stream, write_like_original=False)
            else:
                image.save_as(stream, enforce_file_format=True)
    except OSError as err:
        # pydicom raises an error of its own, whose text holds a traceback, from the error of the disk.
        cause: BaseException | None = err
        while isinstance(cause, OSError) and cause.errno is None:
            cause = cause.__cause__
        raise cause if isinstance(cause, OSError) else err from None
