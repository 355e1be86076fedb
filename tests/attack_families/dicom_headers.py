"""Headers of DICOM files: elements of another type, texts that cannot be decoded, and values that cannot be."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
from dicom_files import Layout, content, save, write_classic, write_enhanced
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from attack_families.attack import Attack, MakeFiles, Outcome, WrongError, convert
from custom.errors import InputError

__all__ = ["other_types", "pixel_values"]

_LAYOUT = Layout(shape=(6, 5, 3))
_VALUES = content(_LAYOUT)
_TYPES = ("UN", "LO", "OB", "SQ", "US", "DS", "IS", "FD", "FL", "AT", "UI", "PN", "UT", "SS", "TM", "DA", "OW", "SL")
# Values that decide what the voxels are: with another one a result is another one too, and is not compared.
_DECISIVE = (
    "ImagePositionPatient",
    "RescaleSlope",
    "RescaleIntercept",
    "Rows",
    "Columns",
    "PixelRepresentation",
    "PixelData",
    "NumberOfFrames",
)
_ELEMENTS = (
    *("SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "AcquisitionDate", "AcquisitionTime"),
    *("StudyDate", "Manufacturer", "SeriesDescription", "PatientName", "PatientID", "SliceThickness", "EchoTime"),
    *("RepetitionTime", "TriggerTime", "SpacingBetweenSlices", "StudyInstanceUID", "SeriesInstanceUID"),
    *("SeriesNumber", "AcquisitionNumber", "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient"),
    *("FrameOfReferenceUID", "TemporalPositionIdentifier", "SamplesPerPixel", "PhotometricInterpretation"),
    *("NumberOfFrames", "Rows", "Columns", "PixelSpacing", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "PixelPaddingValue", "WindowCenter", "WindowWidth", "RescaleIntercept", "RescaleSlope"),
    *("RescaleType", "TimezoneOffsetFromUTC", "TemporalResolution", "ConcatenationUID", "FrameIncrementPointer"),
    *("ModalityLUTSequence", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("ReferencedImageSequence", "DerivationDescription", "ContributingEquipmentSequence", "LossyImageCompression"),
)
_BYTES = (
    b"",
    b"\xff\xfe\x80\x81",
    b"\0" * 4,
    b"1,5 ",
    b"abc ",
    b"nan ",
    b"1\\2\\3 ",
    b"-1",
    b"\x1b$B\xff\xff ",
    b"9" * 400,
)
_CHARACTER_SETS = ("ISO_IR 192", "ISO 2022 IR 87", "GB18030", "none such", "ISO_IR 100\\ISO 2022 IR 149", "")


Change = Callable[[Path], object]


def _element(keyword: str, vr: str, value: bytes) -> Change:
    """Return a function that sets an element of a file, explicit VR little endian, to bytes that no library checks."""
    tag = Tag(tag_for_keyword(keyword))
    value += b" " * (len(value) % 2)
    length = struct.pack("<HI", 0, len(value)) if vr in EXPLICIT_VR_LENGTH_32 else struct.pack("<H", len(value))
    new = struct.pack("<HH", tag.group, tag.element) + vr.encode() + length + value

    def change(file: Path) -> None:
        elements = pydicom.dcmread(file)._dict.values()
        starts = {
            element.tag: (element.value_tell if element.is_raw else element.file_tell)
            - (12 if element.VR in EXPLICIT_VR_LENGTH_32 else 8)
            for element in elements
        }
        content = file.read_bytes()
        behind = min((start for other, start in starts.items() if other > tag), default=len(content))
        file.write_bytes(content[: starts.get(tag, behind)] + new + content[behind:])

    return change


def _values(**values: int | None) -> Change:
    """Return a function that sets elements of a file to sound values, or takes them away."""

    def change(file: Path) -> None:
        data = pydicom.dcmread(file)
        for keyword, value in values.items():
            if value is None:
                delattr(data, keyword)
            else:
                setattr(data, keyword, value)
        save(data, file)

    return change


def _of_frames(keyword: str, vr: str, value: bytes) -> Change:
    """Return a function that sets an element in the rescaling of each frame of an Enhanced file."""

    def change(file: Path) -> None:
        data = pydicom.dcmread(file)
        for group in data.PerFrameFunctionalGroupsSequence:
            tag = Tag(tag_for_keyword(keyword))
            element = RawDataElement(tag, vr, len(value), value + b" " * (len(value) % 2), 0, False, True)
            group.PixelValueTransformationSequence[0]._dict[tag] = element
        save(data, file)

    return change


def _classic(change: Change, which: str) -> MakeFiles:
    """Write a series; `which` of its images is changed: "one", or "all"."""

    def make(folder: Path) -> None:
        files = write_classic(folder, _LAYOUT)
        for file in files if which == "all" else files[1:2]:
            change(file)

    return make


def _enhanced(change: Change) -> MakeFiles:
    return lambda folder: change(write_enhanced(folder / "a.dcm", _LAYOUT))


def _both(*changes: Change) -> Change:
    return lambda file: [change(file) for change in changes]


def other_types(rng: np.random.Generator) -> Iterator[Attack]:
    """Elements with another type (VR), or with bytes that are no text or number of their own."""
    for _ in range(388):
        keyword, vr = str(rng.choice(_ELEMENTS)), str(rng.choice(_TYPES))
        value, characters = _BYTES[rng.integers(len(_BYTES))], str(rng.choice(_CHARACTER_SETS))
        form = str(rng.choice(["one", "all", "enhanced"]))
        change = _element(keyword, vr, value)
        if value[:1] in (b"\xff", b"\x1b") and keyword != "SpecificCharacterSet":
            change = _both(change, _element("SpecificCharacterSet", "CS", characters.encode()))
        make = _enhanced(change) if form == "enhanced" else _classic(change, form)
        # A series of which one image is another one may become two scans, or fewer slices.
        expected = None if form == "one" or keyword in _DECISIVE else _VALUES
        yield Attack(f"{keyword} as {vr} {value[:12]!r} ({form})", convert, (make, expected))


def pixel_values(rng: np.random.Generator) -> Iterator[Attack]:
    """Values of the elements that say what the pixels mean."""
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        for value in (b"1,5", b"abc", b"nan", b"inf", b"-inf", b"1e400", b"1\\2", b"0x10", b"1 2", b"--1"):
            makes = {which: _classic(_element(keyword, "DS", value), which) for which in ("one", "all")}
            makes["enhanced"] = _enhanced(_of_frames(keyword, "DS", value))
            for form, make in makes.items():
                yield Attack(f"{keyword} {value!r} ({form})", convert, (make,), must="refused")
    # 12 bits in 16; the standard knows no place for them but the lowest.
    for high in range(16):
        make = _classic(_values(BitsStored=12, HighBit=high), "all")
        must: Outcome = "result" if high == 11 else "refused"
        yield Attack(f"HighBit {high} of 12", convert, (make, _VALUES), must=must)
    for bits in (0, 17, 32, 65535):
        make = _classic(_values(BitsStored=bits, HighBit=max(bits - 1, 0)), "all")
        yield Attack(f"BitsStored {bits}", convert, (make, _VALUES), must="refused")
    for keyword in ("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "Rows", "SamplesPerPixel"):
        for which in ("one", "all"):
            make = _classic(_values(**{keyword: None}), which)
            yield Attack(f"no {keyword} ({which})", _without_damage, (make,))
    for number in (2, 255, 65535):
        make = _classic(_values(PixelRepresentation=number), "all")
        yield Attack(f"PixelRepresentation {number}", convert, (make, _VALUES))
    for keyword in ("PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "SliceThickness"):
        count = {"PixelSpacing": 2, "ImagePositionPatient": 3, "ImageOrientationPatient": 6}.get(keyword, 1)
        for one in (b"0", b"-1", b"1e-30", b"1e30", b"1e300", b"nan", b"1,5", b"abc"):
            for which in ("one", "all"):
                make = _classic(_element(keyword, "DS", b"\\".join([one] * count)), which)
                yield Attack(f"{keyword} {one!r} ({which})", convert, (make,))
    for frames in rng.integers(2, 2**31, 5):
        make = _classic(_element("NumberOfFrames", "IS", b"%d" % frames), "one")
        yield Attack(f"NumberOfFrames {frames}", convert, (make,), must="refused")


def _without_damage(folder: Path, make: MakeFiles) -> None:
    """Read a series whose headers lack an element; it is not called truncated or damaged for that."""
    try:
        convert(folder, make, _VALUES)
    except InputError as err:
        if "truncated" in str(err):
            raise WrongError(f"a missing element is called damage: {err}") from err
        raise
