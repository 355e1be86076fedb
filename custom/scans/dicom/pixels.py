"""The voxels of a DICOM stack: decoded, rescaled frame by frame, on the axes of the affine."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from custom.errors import InputError
from custom.scans.dicom.fields import Fields, shown
from custom.scans.dicom.files import LARGEST_HEADER, lenient_pydicom, open_dicom
from custom.scans.dicom.frame import DicomStack, Frame
from custom.scans.dicom.syntaxes import decoder_package, syntax_name
from custom.scans.scan import Scan, ScanHeader
from custom.scans.sizes import check_memory

__all__ = ["read_stack"]

logger = logging.getLogger(__name__)


def read_stack(stack: DicomStack, memory_limit: float | None = None) -> Scan:
    """Read the voxels of a stack, each frame's slope and intercept applied; padding (PixelPaddingValue) becomes 0.

    MONOCHROME1 only means that low values are shown bright: the values are not inverted, and a warning is logged.

    Args:
        stack: what to read.
        memory_limit: see `check_memory`.

    Returns:
        Its array is float32 (i, j, k), or (i, j, k, frames) for several frames.

    Raises:
        InputError: for a file that cannot be decoded, naming it, and the package to install if one is missing; for a
            stack that does not fit into memory.
    """
    count = len(stack.frames[0])
    itemsize = np.dtype(stack.stored_dtype).itemsize
    # All as float32, and of one file the bytes, the decoded values and a copy of them.
    check_memory(stack.files[0], (*stack.shape, count), np.dtype(np.float32).itemsize, memory_limit)
    check_memory(stack.files[0], (stack.columns, stack.rows, stack.frames_per_file), 3 * itemsize, memory_limit)
    if stack.photometric == "MONOCHROME1":
        logger.warning("%s: MONOCHROME1, so low values are shown bright; the values are kept as stored", stack.files[0])
    for note in stack.notes:
        logger.warning("%s", note)
    voxels: np.ndarray | None = None
    wanted: dict[Path, list[tuple[int, int, Frame]]] = {}
    for k, row in enumerate(stack.frames):
        for t, frame in enumerate(row):
            wanted.setdefault(frame.path, []).append((k, t, frame))
    for path, frames in wanted.items():
        planes, padding = _planes(path, stack)
        if voxels is None:  # allocated only once a file was decoded to the size that its header promises
            voxels = np.empty((count, len(stack.frames), stack.rows, stack.columns), dtype=np.float32)
        for k, t, frame in frames:
            # float64 for the product, so that it is rounded once
            plane = planes[frame.number] * np.float64(frame.slope) + np.float64(frame.intercept)
            voxels[t, k] = plane if padding is None else np.where(padding[frame.number], 0.0, plane)
    assert voxels is not None  # a stack has a file
    array = voxels.transpose(3, 2, 1, 0)
    header = ScanHeader(stored_dtype=stack.stored_dtype, frame_axis=stack.frame_axis, frame_values=stack.frame_values)
    return Scan(array[..., 0] if count == 1 else array, stack.affine.copy(), header)


def _planes(path: Path, stack: DicomStack) -> tuple[np.ndarray, np.ndarray | None]:
    """Decode a file: integers (frames, rows, columns), and which of them are padding, None if the file has none."""
    try:
        with lenient_pydicom(), open_dicom(path, _largest_file(stack)) as stream:
            header = pydicom.dcmread(stream)
            planes = _used_bits(np.asarray(header.pixel_array), header)
    except Exception as err:  # pydicom and its plugins raise a dozen unrelated types
        raise _undecoded(path, err) from err
    planes = planes.reshape(-1, *planes.shape[-2:])
    if planes.shape[1:] != (stack.rows, stack.columns):
        raise InputError(f"{path}: the file changed while it was read; run again")
    return planes, _padding(planes, header, path)


def _padding(planes: np.ndarray, header: Any, path: Path) -> np.ndarray | None:
    """Find the pixels that are no part of the image: PixelPaddingValue, and all up to PixelPaddingRangeLimit.

    Source: DICOM PS3.3 C.7.5.1.1.2. The limit may be above or below the value.
    """
    fields = Fields(header, path)
    if not fields.has("PixelPaddingValue"):
        return None
    value = fields.whole("PixelPaddingValue")
    ends = [_as_stored(end, fields) for end in (value, fields.whole("PixelPaddingRangeLimit", value))]
    return (planes >= min(ends)) & (planes <= max(ends))


def _as_stored(value: int, fields: Fields) -> int:
    """Give a number the sign of the stored values: some files hold -2000 as 63536, or the other way round."""
    signed = fields.whole("PixelRepresentation", 0) == 1
    allocated = fields.whole("BitsAllocated")
    for bits in (fields.whole("BitsStored", allocated), allocated):
        if signed and 2 ** (bits - 1) <= value < 2**bits:
            return value - 2**bits
        if not signed and -(2 ** (bits - 1)) <= value < 0:
            return value + 2**bits
    return value


def _largest_file(stack: DicomStack) -> int:
    """Return how many bytes a file unpacks to at most; compressed pixels may be larger than they were."""
    itemsize = np.dtype(stack.stored_dtype).itemsize
    return LARGEST_HEADER + 2 * stack.columns * stack.rows * stack.frames_per_file * itemsize


def _used_bits(planes: np.ndarray, header: Any) -> np.ndarray:
    """Clear the bits that do not belong to the value, such as overlays; pydicom does so itself from version 3 on."""
    unused = int(header.BitsAllocated) - int(header.BitsStored)
    # Shifted up and down again, which extends the sign of signed values.
    return (planes << unused) >> unused if unused else planes


def _undecoded(path: Path, err: Exception) -> InputError:
    syntax = ""
    try:
        with lenient_pydicom(), open_dicom(path) as stream:
            syntax = str(pydicom.dcmread(stream, stop_before_pixels=True).file_meta.TransferSyntaxUID)
    except Exception:  # the first error is the one to report
        pass
    details = shown((str(err).splitlines() or ["no details"])[0])
    package = decoder_package(syntax)
    if package and _lacks_plugin(err):
        return InputError(
            f"{path}: the pixels are compressed as {syntax_name(syntax)}, which needs a package that is not "
            f"installed: pip install {package}"
        )
    return InputError(
        f"{path}: the pixels cannot be decoded ({shown(syntax_name(syntax))}), the file is truncated or damaged "
        f"({type(err).__name__}: {details}); copy or export it again"
    )


def _lacks_plugin(err: Exception) -> bool:
    return any(words in str(err) for words in ("missing dependencies", "missing required dependencies", "no handlers"))
