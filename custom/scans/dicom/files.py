"""DICOM files opened for pydicom: unpacked, never further than a limit, and with the preamble that some lack."""

from __future__ import annotations

import gzip
import io
import logging
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pydicom import config
from pydicom.filereader import read_dataset, read_partial
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import VR

__all__ = ["LARGEST_HEADER", "is_dicom", "lenient_pydicom", "open_dicom"]

#: Bytes of the largest header that is unpacked; the largest of Enhanced images, of 10,000 frames, have half of it.
LARGEST_HEADER = 2**26

_MAGIC = b"DICM"
_PREAMBLE = bytes(128) + _MAGIC
_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 2**16
# Deflated images name their syntax in the file meta information, which is never longer.
_LONGEST_META = 2**14
_DEFLATED = str(DeflatedExplicitVRLittleEndian).encode()
_INFLATED = str(ExplicitVRLittleEndian).encode().ljust(len(_DEFLATED), b"\0")
_TYPES = {vr.value.encode() for vr in VR if len(vr.value) == 2}
# The beginning of the UIDs of all that DICOM defines, SOP classes among them.
_STANDARD = "1.2.840.10008."
_SOP_CLASS = 0x00080016
# pydicom's settings and the warning filters belong to the whole process.
_settings_lock = threading.RLock()


@contextmanager
def lenient_pydicom() -> Iterator[None]:
    """Let pydicom take odd values that do not matter here, such as a UID with a leading zero, without a warning."""
    log = logging.getLogger("pydicom")
    with _settings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mode, disabled = config.settings.reading_validation_mode, log.disabled
        config.settings.reading_validation_mode, log.disabled = config.IGNORE, True
        try:
            yield
        finally:
            config.settings.reading_validation_mode, log.disabled = mode, disabled


def is_dicom(path: Path) -> bool:
    """Say whether the content of a file is DICOM, plain or in gzip; a file that cannot be opened is not.

    Files without a preamble, as some old scanners and networks leave them, are DICOM if they begin with the elements
    that every image begins with.
    """
    try:
        with path.open("rb") as stream:
            start = _unpacked(stream, len(_PREAMBLE)).read(len(_PREAMBLE))
            if start[128:] == _MAGIC:
                return True
        return bool(_missing_start(start)) and _names_sop_class(path)
    except (OSError, EOFError, ValueError, zlib.error):
        return False


@contextmanager
def open_dicom(path: Path, limit: int = LARGEST_HEADER) -> Iterator[BinaryIO]:
    """Open a file so that pydicom reads it as any other: unpacked, if it is gzip or deflated, and with a preamble.

    Args:
        path: a regular file; pipes would be waited for.
        limit: of a file that has to be unpacked or to get a preamble, bytes that are read; what is behind is cut off.
    """
    with path.open("rb") as file:
        stream = _unpacked(file, limit)
        start = stream.read(len(_PREAMBLE))
        missing = b"" if start[128:] == _MAGIC else _missing_start(start)
        stream.seek(0)
        if missing:
            stream = io.BytesIO(missing + stream.read(limit))
        yield _inflated(stream, limit)


def _unpacked(stream: BinaryIO, limit: int) -> BinaryIO:
    """Unpack gzip up to a limit; return other streams as they are."""
    packed = stream.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    stream.seek(0)
    if not packed:
        return stream
    with gzip.GzipFile(fileobj=stream) as unpacked:
        return io.BytesIO(unpacked.read(limit))


def _inflated(stream: BinaryIO, limit: int) -> BinaryIO:
    """Inflate a deflated data set up to a limit, and name its syntax accordingly; return other streams as they are.

    pydicom inflates the whole data set before it reads the first element.
    """
    head = stream.read(_LONGEST_META)
    start = len(_PREAMBLE)
    stream.seek(start)
    if _DEFLATED not in head:
        stream.seek(0)
        return stream
    meta = read_dataset(stream, False, True, stop_when=lambda tag, vr, length: tag.group != 2)
    end = stream.tell()
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        stream.seek(0)
        return stream
    inflated = io.BytesIO()
    inflated.write(head[:end].replace(_DEFLATED, _INFLATED))
    packer = zlib.decompressobj(-zlib.MAX_WBITS)
    packed = b""
    while inflated.tell() < limit and not packer.eof:
        packed = packer.unconsumed_tail or stream.read(_CHUNK)
        if not packed:
            break
        inflated.write(packer.decompress(packed, limit - inflated.tell()))
    inflated.seek(0)
    return inflated


def _missing_start(start: bytes) -> bytes:
    """Return what a file lacks before its first bytes to be one with a preamble, b"" where it is no DICOM."""
    if start[:4] == _MAGIC:
        return bytes(128)
    if start[:2] == b"\x02\0" and start[4:6] in _TYPES:
        return _PREAMBLE
    has_types = start[4:6] in _TYPES
    for first, syntax in (
        (b"\x08\0", ExplicitVRLittleEndian if has_types else ImplicitVRLittleEndian),
        (b"\0\x08", ExplicitVRBigEndian if has_types else ""),
    ):
        if start[:2] == first and syntax:
            uid = syntax.encode() + b"\0" * (len(syntax) % 2)
            return _PREAMBLE + struct.pack("<HH2sH", 2, 0x10, b"UI", len(uid)) + uid
    return b""


def _names_sop_class(path: Path) -> bool:
    """Say whether the first elements of a file, read as DICOM, hold a SOP class of the standard."""
    with lenient_pydicom(), open_dicom(path, _LONGEST_META) as stream:
        try:
            header = read_partial(stream, stop_when=lambda tag, vr, length: tag > _SOP_CLASS)
            return str(header.get("SOPClassUID", "")).startswith(_STANDARD)
        except Exception:  # pydicom raises a dozen unrelated types for what is not DICOM
            return False
