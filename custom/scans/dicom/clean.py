"""Headers of a source that can be written again: without what belongs to its pixels, its vendor or its file."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pydicom
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as DicomSequence

from custom.errors import InputError
from custom.scans.dicom.fields import shown
from custom.scans.dicom.files import open_dicom

__all__ = ["clean_copy", "read_clean"]

logger = logging.getLogger(__name__)

# Lower groups are those of network messages, of the file meta information and of directories; pydicom refuses to write
# them into a data set.
_FIRST_GROUP = 0x0008
# Groups of curves, overlays and signatures, and 7FE0, which holds the pixels.
_DROPPED_GROUPS = frozenset({0x7FE0, 0x4FFE, 0xFFFA, 0xFFFC, *range(0x5000, 0x5020), *range(0x6000, 0x6020)})

# Elements that describe the stored values, planes, frames or file of the source, which are not those of the result.
_DROPPED = frozenset(
    {
        "ConcatenationFrameOffsetNumber",
        "ConcatenationUID",
        "EncryptedAttributesSequence",
        "FrameIncrementPointer",
        "FrameTime",
        "FrameTimeVector",
        "GraphicAnnotationSequence",
        "IconImageSequence",
        "ImagesInAcquisition",
        "InConcatenationNumber",
        "InConcatenationTotalNumber",
        "InstanceCreatorUID",
        "LargestImagePixelValue",
        "LargestPixelValueInSeries",
        "ModalityLUTSequence",
        "NumberOfFrames",
        "PixelAspectRatio",
        "PixelPaddingRangeLimit",
        "PixelPaddingValue",
        "RealWorldValueMappingSequence",
        "ReconstructionDiameter",
        "RepresentativeFrameNumber",
        "SOPInstanceUIDOfConcatenationSource",
        "SmallestImagePixelValue",
        "SmallestPixelValueInSeries",
        "VOILUTSequence",
    }
)
# Elements of a window; images without one leave them out, such as those with a VOILUTSequence (PS3.3 C.11.2).
_OF_WINDOW = ("VOILUTFunction", "WindowCenter", "WindowCenterWidthExplanation", "WindowWidth")


def read_clean(path: Path) -> Dataset:
    """Read the header of a DICOM file, cleaned, with the transfer syntax in `file_meta`.

    Call it within `headers.lenient_pydicom()`.

    Raises:
        InputError: for a file that is no longer there or cannot be read.
    """
    try:
        with open_dicom(path) as stream:
            header = pydicom.dcmread(stream, stop_before_pixels=True)
            copy = clean_copy(header, path)
            copy.file_meta = header.file_meta
    except Exception as err:  # pydicom, gzip and zlib raise a dozen unrelated types for a broken file
        details = shown((str(err).splitlines() or ["no details"])[0])
        raise InputError(
            f"{path}: its header, which the derived images take over, cannot be read ({type(err).__name__}: "
            f"{details}); it may have changed since it was read first"
        ) from err
    return copy


def clean_copy(source: Dataset, path: Path) -> Dataset:
    """Copy a data set without private elements, pixels, and what cannot be written again.

    Args:
        source: a header, or an item of a sequence; not changed.
        path: the file, for the log.
    """
    encodings = getattr(source, "_character_set", None) or ["iso8859"]
    copy = Dataset()
    for tag in source.keys():  # noqa: SIM118  (iterating a data set would parse every element, and stop at a broken one)
        if tag.is_private or tag.element == 0 or tag.group < _FIRST_GROUP or tag.group in _DROPPED_GROUPS:
            continue
        try:
            element = _of_standard_type(source[tag])
            if element.keyword in _DROPPED:
                continue
            if element.VR == "SQ":
                items = [clean_copy(item, path) for item in element.value]
                copy.add_new(tag, "SQ", DicomSequence(items))
            elif _is_writable(element, encodings):
                copy.add(element)
            else:
                logger.debug("%s: %s has a value that cannot be written; it is left out", path, element.keyword or tag)
        except Exception as err:  # a value that is not of its type
            logger.debug("%s: %s cannot be read (%s); it is left out", path, tag, err)
    if any(copy.get(keyword) in (None, "") for keyword in ("WindowCenter", "WindowWidth")):
        for keyword in _OF_WINDOW:
            if keyword in copy:
                delattr(copy, keyword)
    return copy


def _of_standard_type(element: DataElement) -> DataElement:
    """Return an element with the type (VR) that the standard has for it, which not every file gives it.

    The elements of a result are set to values of that type, and pydicom would write them as the type that it finds.

    Raises:
        ValueError: where its value cannot be one of that type.
    """
    types = dictionary_VR(element.tag).split(" or ") if dictionary_has_tag(element.tag) else [element.VR]
    if element.VR in types:
        return element
    values = element.value if isinstance(element.value, MultiValue) else [element.value]
    if "SQ" in (element.VR, *types) or any(isinstance(value, bytes) for value in values):
        raise ValueError(f"of the type {element.VR} instead of {types[0]}")
    return DataElement(element.tag, types[0], element.value)


def _is_writable(element: Any, encodings: Any) -> bool:
    """Say whether pydicom can write an element; this is tried, because it raises errors of all types."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    try:
        write_data_element(buffer, element, encodings)
    except Exception:
        return False
    return True
