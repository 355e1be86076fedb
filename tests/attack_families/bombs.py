"""Small files that claim, or unpack to, more than a machine holds."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
from dicom_files import Layout, save, write_classic, write_enhanced
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from attack_families.attack import GIB, Attack, MakeFiles, Outcome, check_message, convert
from custom.errors import InputError
from custom.weights import read_checkpoint

__all__ = ["bombs"]


def _zeros(size: int, prefix: bytes = b"") -> bytes:
    """Pack zeros into gzip, quickly: a file of many members, each of 64 MiB."""
    member = gzip.compress(bytes(2**26))
    return gzip.compress(prefix) + member * (size >> 26) + gzip.compress(bytes(size % 2**26))


def _deflated_zeros(size: int) -> bytes:
    """Deflate zeros, quickly: blocks that begin anew, so that they can be repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(2**26)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * (size >> 26) + packer.compress(bytes(size % 2**26)) + packer.flush()


def _nifti(shape: tuple[int, ...], dtype: type = np.int16) -> bytes:
    header = nib.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    header.set_sform(np.eye(4), 1)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    return bytes(header.binaryblock) + bytes(4)


def _nifti_bomb(shape: tuple[int, ...], held: int, dtype: type = np.int16) -> MakeFiles:
    """Write a .nii.gz that claims a shape and holds as many bytes of zeros."""
    return lambda folder: (folder / "a.nii.gz").write_bytes(_zeros(held, _nifti(shape, dtype)))


def _sparse(shape: tuple[int, ...]) -> MakeFiles:
    """Write a .nii of the size that it claims, which takes no place on the disk."""

    def make(folder: Path) -> None:
        with (folder / "a.nii").open("wb") as stream:
            stream.write(_nifti(shape))
            stream.truncate(352 + 2 * int(np.prod(shape, dtype=np.int64)))

    return make


def _claimed(syntax: str, rows: int, columns: int, pixels: bytes) -> MakeFiles:
    """Write a compressed image that claims a size."""

    def make(folder: Path) -> None:
        file = write_classic(folder, Layout(shape=(6, 5, 1)))[0]
        data = pydicom.dcmread(file)
        data.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
        data.Rows, data.Columns = rows, columns
        data.PixelData = encapsulate([pixels])
        data["PixelData"].is_undefined_length = True
        save(data, file)

    return make


def _rle(rows: int, columns: int, damaged: bool = False) -> bytes:
    """Return run lengths of zeros: two segments, for the high and the low bytes."""
    segment = b"\x81\x00" * (rows * columns // (128 * (64 if damaged else 1)))
    return struct.pack("<16L", 2, 64, 64 + len(segment), *[0] * 13) + segment + segment


def _deflated(size: int, keyword: str) -> MakeFiles:
    """Write a deflated image of which one element unpacks to many zeros."""

    def make(folder: Path) -> None:
        file = write_classic(folder, Layout(shape=(6, 5, 1)))[0]
        content = file.read_bytes()
        data = pydicom.dcmread(file)
        start = data["PixelData"].file_tell - 12
        meta_end = data["SpecificCharacterSet"].file_tell - 8
        syntax = pydicom.dcmread(io.BytesIO(content)).file_meta
        syntax.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        head = io.BytesIO()
        pydicom.filewriter.write_file_meta_info(head, syntax)
        tag = (0x7FE0, 0x0010) if keyword == "PixelData" else (0x0029, 0x1010)
        element = struct.pack("<HH2sHI", *tag, b"OW" if keyword == "PixelData" else b"OB", 0, size)
        packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        before = content[meta_end:start] if keyword == "PixelData" else _before(content[meta_end:start])
        packed = packer.compress(before + element) + packer.flush(zlib.Z_FULL_FLUSH) + _deflated_zeros(size)
        file.write_bytes(bytes(128) + b"DICM" + head.getvalue() + packed)

    return make


def _before(elements: bytes) -> bytes:
    """Cut a data set before the group 0029."""
    return elements[: elements.index(struct.pack("<HH", 0x0028, 0x0002))]


def _packed_dicom(folder: Path) -> None:
    """Write a DICOM file in gzip whose private element unpacks to 20 GB."""
    file = write_classic(folder, Layout(shape=(6, 5, 1)))[0]
    content = file.read_bytes()
    before = content[: content.index(struct.pack("<HH", 0x0028, 0x0002))]
    element = struct.pack("<HH2sHI", 0x0029, 0x1010, b"OB", 0, 2**32 - 2)
    file.with_suffix(".dcm.gz").write_bytes(_zeros(20 * GIB, before + element))
    file.unlink()


def _png(width: int, height: int, rows: int, text: bytes = b"", frames: int = 0) -> MakeFiles:
    """Write a grey PNG that claims a size and holds some rows of it, and a packed text."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    def make(folder: Path) -> None:
        size = (1 + width) * rows
        # The checksum of zeros: the sum of all bytes stays 1, and the sum of these sums is their number.
        pixels = b"\x78\x9c" + _deflated_zeros(size) + struct.pack(">HH", size % 65521, 1)
        parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))]
        parts += [chunk(b"zTXt", b"Comment\0\0" + text)] if text else []
        parts += [chunk(b"acTL", struct.pack(">II", frames, 0))] if frames else []
        (folder / "a.png").write_bytes(
            b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
        )

    return make


def _frames(folder: Path) -> None:
    """Write an Enhanced file whose header claims more frames than there are, or than any memory holds."""
    file = write_enhanced(folder / "a.dcm", Layout(shape=(6, 5, 2)))
    data = pydicom.dcmread(file)
    data.NumberOfFrames = 2**31 - 1
    save(data, file)


def bombs(rng: np.random.Generator) -> Iterator[Attack]:
    """Each has to be refused, in seconds and little memory, before anything of the size claimed is read."""
    edge = int(rng.integers(1500, 1700))
    big = (edge, edge, 20 * GIB // (2 * edge * edge))
    cases: dict[str, MakeFiles] = {
        f".nii.gz of 20 GB, {big}": _nifti_bomb(big, 2 * int(np.prod(big, dtype=np.int64))),
        ".nii.gz that claims 20 GB and holds 64 MiB": _nifti_bomb(big, 2**26),
        ".nii.gz of 30 voxels and 20 GB behind them": _nifti_bomb((6, 5, 1), 20 * GIB),
        ".nii.gz of 20 GB before the voxels": lambda folder: _far_offset(folder, 20 * GIB),
        ".nii of 40 GB with holes": _sparse((2000, 2000, 5000)),
        ".nii.gz of float64": _nifti_bomb((1200, 1200, 1000), 8 * 1200 * 1200 * 1000, np.float64),
        "RLE 65535 x 65535, damaged": _claimed(RLELossless, 65535, 65535, _rle(2000, 65535)),
        "RLE 65535 x 65535, whole": _claimed(RLELossless, 65535, 65535, _rle(65535, 65535)),
        "JPEG 2000 65535 x 65535": _claimed(JPEG2000Lossless, 65535, 65535, rng.bytes(1_000_000)),
        "deflated pixels of 4 GB": _deflated(2**32 - 2**26, "PixelData"),
        "deflated private element of 4 GB": _deflated(2**32 - 2**26, "private"),
        ".dcm.gz of 20 GB": _packed_dicom,
        "2147483647 frames": _frames,
        "PNG 60000 x 60000, whole": _png(60000, 60000, 60000),
        "PNG 13000 x 13000 of one row": _png(13000, 13000, 1),
        "PNG 2147483647 x 1": _png(2**31 - 1, 1, 0),
        "PNG with a text of 4 GB": _png(6, 5, 5, zlib.compress(bytes(2**28), 9) * 16),
    }
    for name, make in cases.items():
        must: Outcome = "" if "text" in name else "refused"
        yield Attack(name, convert, (make,), must=must, memory=int(1.5 * GIB), seconds=120)
    for name, write in _weight_bombs(rng).items():
        yield Attack(name, _read_weights, (write,), must="refused", memory=int(1.5 * GIB))


def _far_offset(folder: Path, offset: int) -> None:
    header = bytearray(_nifti((6, 5, 1)))
    struct.pack_into("<f", header, 108, float(offset))
    (folder / "a.nii.gz").write_bytes(_zeros(offset, bytes(header)))


def _weight_bombs(rng: np.random.Generator) -> dict[str, Callable[[Path], Path]]:
    def packed(path: Path) -> Path:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("model/data.pkl", bytes(2**30))
            archive.writestr("model/version", "3\n")
        return path

    def claimed(path: Path) -> Path:
        header = b'{"w":{"dtype":"F32","shape":[100000,1000000],"data_offsets":[0,400000000000]}}'
        path = path.with_suffix(".safetensors")
        path.write_bytes(struct.pack("<Q", len(header)) + header + rng.bytes(100))
        return path

    def long_header(path: Path) -> Path:
        path = path.with_suffix(".safetensors")
        path.write_bytes(struct.pack("<Q", 2**62) + b"{" * 1000)
        return path

    return {
        "packed weights": packed,
        "safetensors of 400 GB": claimed,
        "safetensors with an endless header": long_header,
    }


def _read_weights(folder: Path, write: Callable[[Path], Path]) -> None:
    path = write(folder / "model.pt")
    try:
        read_checkpoint(path)
    except InputError as err:
        check_message(str(err), folder)
        raise
