"""The header of one DICOM file: whether it is an MR image that can be read, and its frames; pixels are not read."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.uid import UID

from custom.errors import InputError
from custom.scans.dicom.fields import Fields, classic_frames, enhanced_frames, shown
from custom.scans.dicom.files import LARGEST_HEADER, lenient_pydicom, open_dicom
from custom.scans.dicom.frame import Frame
from custom.scans.dicom.syntaxes import is_compressed, is_supported, largest_ratio, syntax_name

__all__ = ["SEQUENCE", "TIMING", "ImageFile", "read_header"]

_MR = "1.2.840.10008.5.1.4.1.1.4"
_ENHANCED = ("1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.4")
_ENHANCED_COLOUR = "1.2.840.10008.5.1.4.1.1.4.3"
_DIRECTORY = "1.2.840.10008.1.3.10"
# Elements that are the same in all images of a series, and those that tell series apart where UIDs are missing.
_SERIES = ("SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "ProtocolName", "PatientID", "StudyInstanceUID")
_SERIES_WITHOUT_UID = ("SeriesDate", "SeriesTime")
#: Elements of `ImageFile.sequence` and `ImageFile.timing`.
SEQUENCE = ("ScanningSequence", "SequenceVariant", "MRAcquisitionType", "ContrastBolusAgent")
TIMING = ("RepetitionTime", "InversionTime", "FlipAngle")
_LOCALISER_WORDS = ("localizer", "localiser", "scout", "survey")

# FloatPixelData, the first of the elements that hold pixels.
_FIRST_PIXEL_TAG = 0x7FE00008
_PIXEL_DATA = 0x7FE00010
_UNDEFINED_LENGTH = 0xFFFFFFFF


@dataclass(frozen=True)
class ImageFile:
    """What the header of a DICOM file says.

    Attributes:
        path: the file.
        skipped: what the file is, if it is not a scan ("a localiser"); else "".
        problem: why a scan cannot be read, a whole message; else "".
        enhanced: whether it is an Enhanced multi-frame file.
        multiframe: whether it has several frames, so that it is a stack by itself.
        series_uid: SeriesInstanceUID, "" where it is not given.
        series_number: as a text.
        series_description: free text of the scanner.
        rows: size along a column.
        columns: size along a row.
        photometric: PhotometricInterpretation.
        stored_dtype: numpy name of the stored type.
        sop_uid: SOPInstanceUID.
        series: what all images of a series have in common: its UID, number, description and protocol, PatientID and
            StudyInstanceUID; without a UID also its date and time. (FrameOfReferenceUID is not compared: in some
            anonymised series each image has its own.)
        sequence: how the images were made, in words: sequence, variant, 2D or 3D, contrast agent.
        timing: RepetitionTime (ms), InversionTime (ms) and FlipAngle (degrees), None where they are not given.
        frames: none for a file that is skipped or has a problem.
    """

    path: Path
    skipped: str = ""
    problem: str = ""
    enhanced: bool = False
    multiframe: bool = False
    series_uid: str = ""
    series_number: str = ""
    series_description: str = ""
    rows: int = 0
    columns: int = 0
    photometric: str = ""
    stored_dtype: str = ""
    sop_uid: str = ""
    series: tuple[str, ...] = ()
    sequence: tuple[str, ...] = ()
    timing: tuple[float | None, ...] = ()
    frames: tuple[Frame, ...] = ()


def read_header(path: Path) -> ImageFile:
    """Read the header of a DICOM file; if something is wrong with it, the result has a `problem`."""
    try:
        size = path.stat().st_size
    except OSError as err:
        return ImageFile(path, problem=f"{path}: cannot be opened ({err.strerror}); check who may read it")
    with lenient_pydicom():
        try:
            return _parse(path, size)
        except InvalidDicomError:
            words = "not DICOM, whatever its name says, or truncated; convert, copy or export it again"
            return ImageFile(path, problem=f"{path}: {words}")
        except InputError as err:
            return ImageFile(path, problem=str(err))
        except Exception as err:  # pydicom, gzip and zlib raise a dozen unrelated types for a broken file
            return ImageFile(path, problem=_damaged(path, err))


def _damaged(path: Path, err: Exception) -> str:
    details = shown((str(err).splitlines() or ["no details"])[0])
    return (
        f"{path}: cannot be read as DICOM, it is truncated, damaged or another kind of file "
        f"({type(err).__name__}: {details}); copy or export it again"
    )


def _parse(path: Path, size: int) -> ImageFile:
    seen: list[tuple[int, int]] = []

    def at_pixels(tag: int, vr: str | None, length: int) -> bool:
        if tag >= _FIRST_PIXEL_TAG:
            seen.append((int(tag), length))
        return bool(seen)

    with open_dicom(path) as stream:
        # Elements of that size are passed over.
        header = read_partial(stream, stop_when=at_pixels, defer_size=LARGEST_HEADER)
        position = stream.tell()
        is_packed = isinstance(stream, io.BytesIO)
    if position >= LARGEST_HEADER and (is_packed or position <= size):
        raise InputError(
            f"{path}: the header before the pixels has more than {LARGEST_HEADER >> 20} MiB; export it again "
            "without private elements"
        )
    meta = header.file_meta
    fields = Fields(header, path)
    syntax = UID(str(meta.get("TransferSyntaxUID", "")))
    sop_class = fields.text("SOPClassUID") or str(meta.get("MediaStorageSOPClassUID", ""))
    series: dict[str, Any] = {
        "series_uid": fields.text("SeriesInstanceUID"),
        "series_number": fields.text("SeriesNumber"),
        "series_description": fields.text("SeriesDescription"),
        "sop_uid": fields.text("SOPInstanceUID"),
        "sequence": tuple(fields.text(name) for name in SEQUENCE),
        "timing": tuple(fields.number(name) for name in TIMING),
    }
    told_by = _SERIES if series["series_uid"] else (*_SERIES, *_SERIES_WITHOUT_UID)
    series["series"] = tuple(fields.text(name) for name in told_by)
    if not sop_class:
        return ImageFile(
            path, problem=f"{path}: no SOPClassUID, the file may be truncated; copy or export it again", **series
        )
    skipped = _why_skipped(fields, sop_class)
    if skipped:
        return ImageFile(path, skipped=skipped, **series)
    enhanced = sop_class in _ENHANCED
    try:
        _check_whole(path, fields)
        _check_pixels(path, fields, sop_class, syntax)
        if not seen:
            raise InputError(f"{path}: no pixel data, the file may be truncated; copy or export it again")
        tag, length = seen[0]
        number_of_frames = fields.whole("NumberOfFrames", 1)
        rows, columns = fields.whole("Rows"), fields.whole("Columns")
        bits = fields.whole("BitsAllocated")
        if rows < 1 or columns < 1 or number_of_frames < 1:
            raise InputError(
                f"{path}: the image holds no pixels ({columns} columns, {rows} rows, {number_of_frames} frames); "
                "export it again"
            )
        if tag != _PIXEL_DATA:
            raise InputError(f"{path}: the pixels are floating point numbers; 8 or 16 bit integers are needed")
        promised = rows * columns * number_of_frames * bits // 8
        if (is_packed or is_compressed(syntax)) and promised > size * largest_ratio(syntax, is_packed):
            raise InputError(
                f"{path}: the header promises {promised} bytes of pixels and the file has {size}, which is less than "
                "any compression needs; copy or export it again"
            )
        if not is_compressed(syntax):
            held = length if length != _UNDEFINED_LENGTH else promised
            held = held if is_packed else min(held, size - position)
            if held < promised:
                raise InputError(
                    f"{path}: truncated: the header promises {promised} bytes of pixels and the file holds at most "
                    f"{max(held, 0)}; copy or export it again"
                )
            if held - promised >= min(rows, columns) * bits // 8:
                raise InputError(
                    f"{path}: the header promises {promised} bytes of pixels ({columns} columns, {rows} rows, "
                    f"{number_of_frames} frames) and the file holds {held}, so its rows or columns are wrong; export "
                    "it again"
                )
        frames = (
            enhanced_frames(header, path, number_of_frames)
            if enhanced
            else classic_frames(header, path, number_of_frames)
        )
    except InputError as err:
        return ImageFile(path, problem=str(err), enhanced=enhanced, multiframe=enhanced, **series)
    signed = fields.whole("PixelRepresentation") == 1
    return ImageFile(
        path,
        enhanced=enhanced,
        multiframe=enhanced or number_of_frames > 1,
        rows=rows,
        columns=columns,
        photometric=fields.text("PhotometricInterpretation"),
        stored_dtype=f"{'int' if signed else 'uint'}{bits}",
        frames=frames,
        **series,
    )


def _why_skipped(fields: Fields, sop_class: str) -> str:
    if sop_class == _DIRECTORY:
        return "a DICOMDIR"
    if sop_class not in (_MR, _ENHANCED_COLOUR, *_ENHANCED):
        return f"not an MR image ({shown(UID(sop_class).name)})"
    words = [*fields.texts("ImageType"), *fields.text("SeriesDescription").split()]
    if any(word in text.lower() for text in words for word in _LOCALISER_WORDS):
        return "a localiser"
    return ""


def _check_whole(path: Path, fields: Fields) -> None:
    """Refuse a part of a concatenation (PS3.3 C.7.6.16), which holds only some of the frames of a stack."""
    total = fields.text("InConcatenationTotalNumber")
    if not fields.has("ConcatenationUID") or total == "1":
        return
    number = fields.text("InConcatenationNumber")
    raise InputError(
        f"{path}: part {shown(number) or '?'} of {shown(total) or 'several'} of a concatenation, one image in several "
        "files, which is not read; export it as one file, or as single-frame images"
    )


def _check_pixels(path: Path, fields: Fields, sop_class: str, syntax: UID) -> None:
    """Refuse pixels that cannot be decoded, and those that are not integers of one grey value a pixel."""
    if not is_supported(syntax):
        raise InputError(
            f"{path}: the transfer syntax {shown(syntax_name(syntax))} is not supported; export it uncompressed, "
            "or convert it (for example with dcmdjpeg or gdcmconv --raw)"
        )
    photometric = fields.text("PhotometricInterpretation")
    samples = fields.whole("SamplesPerPixel")
    if samples != 1 or sop_class == _ENHANCED_COLOUR or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise InputError(
            f"{path}: a colour image ({shown(photometric) or 'no photometric interpretation'}, {samples} values a "
            "pixel); one grey value a pixel is needed"
        )
    bits = fields.whole("BitsAllocated")
    if bits not in (8, 16):
        raise InputError(f"{path}: {bits} bits a pixel; 8 or 16 are read; convert it")
    stored = fields.whole("BitsStored")
    high = fields.whole("HighBit", stored - 1)
    if not 1 <= stored <= bits or high != stored - 1:
        raise InputError(
            f"{path}: BitsStored {stored} of BitsAllocated {bits} with HighBit {high}; the lowest bits have to hold "
            "the value, so that HighBit is BitsStored - 1; convert it"
        )
    if fields.whole("PixelRepresentation") not in (0, 1):
        raise InputError(f"{path}: PixelRepresentation is neither 0 (unsigned) nor 1 (signed); export it again")
    if "MOSAIC" in fields.texts("ImageType"):
        raise InputError(
            f"{path}: a mosaic of all slices in one picture (ImageType MOSAIC), which is not read; convert it with "
            "dcm2niix, or export it as Enhanced MR"
        )
    if fields.has("ModalityLUTSequence"):
        raise InputError(f"{path}: the values go through a table (ModalityLUTSequence), which is not read; convert it")
