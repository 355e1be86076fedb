"""DICOM files as they are found: packed, deflated, without a preamble; and what only looks like one."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from pathlib import Path

import pydicom
import pytest
from dicom_checks import check_read, stack_of
from dicom_files import Layout, write_classic
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from custom.errors import InputError
from custom.scans import list_scans, read_scan
from custom.scans.dicom.files import LARGEST_HEADER, is_dicom

_SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)
_PREAMBLE = 128


def _parts(file: Path) -> tuple[bytes, bytes]:
    """Return what comes before the data set of a file, and the data set."""
    content = file.read_bytes()
    meta = pydicom.dcmread(file).file_meta
    # The length of group 2 counts from behind its own element.
    start = _PREAMBLE + len(b"DICM") + 12 + meta.FileMetaInformationGroupLength
    return content[:start], content[start:]


def _deflated(file: Path, data: bytes) -> None:
    """Write a data set, explicit VR little endian, as the deflated one of a file."""
    meta = pydicom.dcmread(file).file_meta
    meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    head = io.BytesIO()
    pydicom.filewriter.write_file_meta_info(head, meta)
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    file.write_bytes(bytes(_PREAMBLE) + b"DICM" + head.getvalue() + packer.compress(data) + packer.flush())


@pytest.mark.parametrize("syntax", _SYNTAXES, ids=["explicit", "implicit", "big endian"])
@pytest.mark.parametrize("left", ["data set alone", "from group 2", "from DICM"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_files_without_a_preamble_are_read(tmp_path: Path, syntax: str, left: str, packed: bool) -> None:
    layout = Layout(slopes=(2.0,))
    for number, file in enumerate(write_classic(tmp_path, layout, syntax=syntax)):
        head, data = _parts(file)
        before = {"data set alone": b"", "from group 2": head[_PREAMBLE + 4 :], "from DICM": head[_PREAMBLE:]}
        content = before[left] + data
        file.unlink()
        (tmp_path / f"image{number}").write_bytes(gzip.compress(content) if packed else content)
    check_read(stack_of(tmp_path), layout)
    check_read(stack_of(tmp_path / "image2"), layout)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x08\0",
        b"\x08\0\x05\0CS\x0a\0ISO_IR 100" + bytes(200),  # no SOP class
        b"\x08\0\x16\0UI\x04\x001.2\0" + bytes(200),  # no SOP class of the standard
        b"\x08\0" + b"text that goes on and on" * 20,
        b"\0\x08" + b"text that goes on and on" * 20,
        b"\x02\0" + b"text that goes on and on" * 20,
        b"%PDF-1.7 " * 40,
    ],
)
def test_what_does_not_parse_as_such_is_no_dicom(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert not is_dicom(tmp_path / "a")


def test_deflated_files_are_read(tmp_path: Path) -> None:
    for file in write_classic(tmp_path):
        _deflated(file, _parts(file)[1])
    check_read(stack_of(tmp_path), Layout())


def _big(tag: tuple[int, int], size: int = LARGEST_HEADER) -> bytes:
    return struct.pack("<HH2sHI", *tag, b"OB", 0, size) + bytes(size)


@pytest.mark.parametrize("packing", ["gzip", "deflate", "none"])
def test_a_private_element_that_unpacks_to_much_is_refused(tmp_path: Path, packing: str) -> None:
    file = write_classic(tmp_path, Layout(shape=(6, 5, 1)))[0]
    head, data = _parts(file)
    place = data.index(struct.pack("<HH", 0x0028, 0x0002))
    content = data[:place] + _big((0x0009, 0x1010)) + data[place:]
    if packing == "deflate":
        _deflated(file, content)
    else:
        file.write_bytes(gzip.compress(head + content, 1) if packing == "gzip" else head + content)
    with pytest.raises(InputError, match=r"the header before the pixels has more than 64 MiB"):
        read_scan(file)


@pytest.mark.parametrize("packing", ["gzip", "deflate", "none"])
def test_pixels_that_are_more_than_the_header_says_are_refused(tmp_path: Path, packing: str) -> None:
    file = write_classic(tmp_path, Layout(shape=(6, 5, 1)))[0]
    head, data = _parts(file)
    content = data[: data.index(struct.pack("<HH2s", 0x7FE0, 0x0010, b"OW"))] + _big((0x7FE0, 0x0010), 2**20)
    if packing == "deflate":
        _deflated(file, content)
    else:
        file.write_bytes(gzip.compress(head + content) if packing == "gzip" else head + content)
    with pytest.raises(InputError, match=r"promises 60 bytes of pixels .* and the file holds 1048576, so its rows"):
        read_scan(file)
    with pytest.raises(InputError, match="so its rows or columns are wrong"):
        [read_scan(scan) for scan in list_scans(tmp_path)]
