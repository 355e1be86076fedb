"""NIfTI files through nibabel: what is doubtful in a header is logged, and sform and qform are written alike."""

from __future__ import annotations

import gzip
import io
import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import nibabel as nib
import numpy as np
from nibabel.quaternions import mat2quat

from custom.arrays.geometry import affine_distance
from custom.errors import InputError
from custom.scans.scan import Scan, ScanHeader, check_shape
from custom.scans.sizes import LARGEST_DEFLATE_RATIO, check_memory
from custom.scans.stored import stored_values

__all__ = ["NIFTI_SUFFIXES", "check_nifti_header", "read_nifti", "write_nifti"]

logger = logging.getLogger(__name__)

NIFTI_SUFFIXES = (".nii.gz", ".nii")

_GZIP_MAGIC = b"\x1f\x8b"
# Extensions lie between header and voxels; more than this (bytes) nobody writes, and all of them are read.
_LARGEST_OFFSET = 2**26
# Higher levels take several times as long for a few per cent.
_GZIP_LEVEL = 1
# Corners of the field of view that differ by less than this (mm) are the same place.
_SAME_PLACE_MM = 0.01
# A qform that moves a corner of the field of view by more than this part of a voxel does not hold the affine.
_LARGEST_QFORM_ERROR_VOXELS = 0.05
_FLOAT32_BYTES = 4
_BYTES_AT_ONCE = 2**25
# Sizes of axes are 16-bit integers.
_LONGEST_AXIS = 2**15 - 1
_QUATERNION = ("quatern_b", "quatern_c", "quatern_d")
_MILLISECONDS = {"sec": 1000.0, "msec": 1.0, "usec": 0.001}
# A NIfTI header has one step for all frames; times that differ from it by more than this part of a step are logged.
_LARGEST_UNEVENNESS = 0.05


def check_nifti_header(path: Path) -> None:
    """Read the header alone and refuse what cannot be a scan; the voxels are not touched.

    Raises:
        InputError: for a file that is not NIfTI, whose header cannot be read, or whose size is not that which the
            header says; of a gzip file the size is only known when its voxels are read.
    """
    with _refusing(path):
        _open(path)


def read_nifti(path: Path, memory_limit: float | None = None) -> Scan:
    """Read a NIfTI-1 or -2 file, slope and intercept applied, in float32.

    A fourth axis is one of frames; a single one is dropped. Their axis is "time" where the header has a unit of time.

    Where both sform and qform are set and differ, the sform is used; where none is set, nibabel's guess from the voxel
    sizes is used. A warning is logged in both cases.

    Args:
        path: the file.
        memory_limit: see `check_memory`.

    Raises:
        InputError: for a file that cannot be read, whose header and size do not fit, or that does not fit into memory;
            for voxels that are complex numbers or colours.
    """
    with _refusing(path):
        image = _open(path)
        affine = _affine(image, path)
        header = image.header
        # A compressed file is unpacked whole, then the voxels are taken out and become float32.
        copies = 2 if _is_compressed(path) else 1
        check_memory(path, image.shape, copies * image.get_data_dtype().itemsize + _FLOAT32_BYTES, memory_limit)
        whole = _decompressed(image, path) if _is_compressed(path) else image
        # float32 throughout: half the memory of nibabel's default, and finer than any scanner's integers.
        with np.errstate(over="ignore", invalid="ignore"):
            array = whole.get_fdata(caching="unchanged", dtype=np.float32)
        shape = _shape(image.shape)
        frame_axis, frame_values = _frames(header, shape)
        return Scan(
            array=array.reshape(shape),
            affine=affine,
            header=ScanHeader(
                stored_dtype=header.get_data_dtype().newbyteorder("=").name,
                # nibabel clears them in the header when it loads, and keeps them with the data
                slope=float(image.dataobj.slope),
                intercept=float(image.dataobj.inter),
                xform_code=int(header["sform_code"]) or int(header["qform_code"]),
                space_unit=header.get_xyzt_units()[0],
                frame_axis=frame_axis,
                frame_values=frame_values,
                time_unit=header.get_xyzt_units()[1],
            ),
        )


def write_nifti(
    array: np.ndarray, affine: np.ndarray, header: ScanHeader, path: Path, shown_as: str = "", description: str = ""
) -> None:
    """Write an array with sform and qform set to one affine; little memory is taken beside it.

    Args:
        array: (*spatial), two or three axes, or (i, j, k, frames), in units.
        affine: 4x4, voxel index to RAS+ world.
        header: type, slope, intercept and units are those that are written; a code of 0 (unknown) becomes 1. Times of
            frames that are not even are evened out, which a warning says: NIfTI has a first value and a step only.
        path: `.nii` or `.nii.gz`.
        shown_as: what the file is called in messages, if `path` is a temporary name.
        description: ASCII, at most 79 characters, for `descrip`.

    Raises:
        InputError: for an axis that the format cannot hold.
    """
    if max(array.shape) > _LONGEST_AXIS:
        raise InputError(
            f"{shown_as or path}: a result of {' x '.join(map(str, array.shape))} voxels, and an axis of NIfTI-1 holds "
            f"{_LONGEST_AXIS}; give a part of the scan"
        )
    # nibabel makes the header; it would write no part of an array before it had a copy of the whole in the stored type.
    dtype = np.dtype(header.stored_dtype)
    image = nib.Nifti1Image(np.broadcast_to(np.zeros((), dtype), array.shape), affine, dtype=dtype)
    code = header.xform_code if header.xform_code > 0 else 1
    space_unit = header.space_unit if header.space_unit in ("mm", "meter", "micron") else "mm"
    time_unit = header.time_unit if header.time_unit in _MILLISECONDS else "sec"
    is_timed = array.ndim < 4 or header.frame_axis == "time"
    image.header.set_xyzt_units(space_unit, time_unit if is_timed else "unknown")
    image.set_sform(affine, code)
    _set_qform(image.header, affine, code, array.shape[:3], shown_as or str(path))
    image.header["descrip"] = description.encode()
    image.header.set_slope_inter(header.slope, header.intercept)
    if array.ndim > 3:
        step_unit = _MILLISECONDS[time_unit] if is_timed else 1.0
        _set_frames(image.header, header.frame_values, step_unit, shown_as or str(path))
    # Not nib.save, which leaves the file open when the disk is full, and writes the time into a gzip file.
    with path.open("wb") as stream:
        if _is_compressed(path):
            with gzip.GzipFile(filename="", fileobj=stream, mode="wb", compresslevel=_GZIP_LEVEL, mtime=0) as packed:
                _write_to(packed, image, array, header)
        else:
            _write_to(stream, image, array, header)


def _write_to(stream: IO[bytes] | gzip.GzipFile, image: nib.Nifti1Image, array: np.ndarray, header: ScanHeader) -> None:
    """Write a header and the voxels in the order of Fortran, some planes at a time."""
    image.update_header()
    image.header.write_to(stream)
    assert image.header.get_data_offset() == stream.tell()
    for frame in np.moveaxis(array, -1, 0) if array.ndim > 3 else [array]:
        count = max(1, _BYTES_AT_ONCE // frame[..., :1].nbytes)
        for first in range(0, frame.shape[-1], count):
            planes = frame[..., first : first + count]
            stored = stored_values(planes, header.stored_dtype, header.slope, header.intercept)
            stream.write(memoryview(stored.T))


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turn any error of a parser into one `InputError` that names the file."""
    try:
        yield
    except InputError:
        raise
    except Exception as err:  # nibabel, gzip and zlib raise a dozen unrelated types for a broken file
        details = (str(err).splitlines() or ["no details"])[0]
        raise InputError(
            f"{path}: cannot be read as NIfTI, it is truncated, damaged or another kind of file "
            f"({type(err).__name__}: {details}); copy or convert it again"
        ) from err


def _is_compressed(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _open(path: Path) -> nib.Nifti1Image:
    """Open a file without its voxels; refuse it if the header says that they cannot be a scan."""
    with path.open("rb") as stream:
        start = stream.read(2)
    if _is_compressed(path) and start != _GZIP_MAGIC:
        raise InputError(f"{path}: not a gzip file although it is named .nii.gz; a plain NIfTI has to be named .nii")
    if not _is_compressed(path) and start == _GZIP_MAGIC:
        raise InputError(f"{path}: a gzip file although it is named .nii; rename it to .nii.gz")
    _check_start(path)
    image = nib.load(path)
    if not isinstance(image, nib.Nifti1Image):
        raise InputError(f"{path}: not a NIfTI file, whatever its name says; convert it to NIfTI")
    stored_type = image.get_data_dtype()
    if stored_type.fields is not None:
        raise InputError(f"{path}: the voxels are colours ({stored_type}); one grey value a voxel is needed")
    if np.issubdtype(stored_type, np.complexfloating):
        raise InputError(f"{path}: the voxels are complex numbers ({stored_type}); write the magnitude and give that")
    check_shape(_shape(image.shape), path, largest_dimension=4)
    promised = _promised_bytes(image)
    size = path.stat().st_size
    at_most = size * (LARGEST_DEFLATE_RATIO if _is_compressed(path) else 1)
    if promised > at_most:
        raise InputError(
            f"{path}: truncated: the header promises {promised} bytes and the file holds at most {at_most}; "
            "copy or download it again"
        )
    if size > promised and not _is_compressed(path):
        raise _too_long(path, image)
    return image


def _check_start(path: Path) -> None:
    """Refuse what nibabel reads without a word, or without end: where voxels begin, how long extensions are, scaling.

    Raises:
        InputError: for voxels that begin within the header or far behind it, and for a slope that is not finite.
    """
    with gzip.open(path) if _is_compressed(path) else path.open("rb") as stream:
        start = stream.read(nib.Nifti2Header.sizeof_hdr + 4)
        kind = next((k for k in (nib.Nifti1Header, nib.Nifti2Header) if k.may_contain_header(start)), None)
        if kind is None:
            return  # nibabel says what it is
        header = kind(start[: kind.sizeof_hdr], check=False)
        if not 0 < int(header["dim"][0]) < len(header["dim"]):
            return  # nibabel says that it is no header
        offset = float(header["vox_offset"])
        first = kind.sizeof_hdr + 4
        if not first <= offset <= _LARGEST_OFFSET:
            raise InputError(
                f"{path}: vox_offset is {offset:g}, so the voxels would begin "
                f"{'within the header' if offset < first else 'far behind it'}; the first place is {first}; mend the "
                "header, or convert the scan again"
            )
        start += stream.read(max(int(offset) - len(start), 0))
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise InputError(
            f"{path}: scl_slope is {slope:g} and scl_inter {intercept:g}, so the values are not known; mend the "
            "header, or convert the scan again"
        )
    kind.from_fileobj(io.BytesIO(start))  # fails for an extension that is longer than there is room


def _too_long(path: Path, image: nib.Nifti1Image) -> InputError:
    return InputError(
        f"{path}: the header promises {' x '.join(map(str, image.shape))} voxels of type {image.get_data_dtype()} and "
        "the file holds more, so sizes or type are wrong; mend the header, or convert the scan again"
    )


def _promised_bytes(image: nib.Nifti1Image) -> int:
    """Count the bytes of header and voxels together, uncompressed."""
    return int(image.dataobj.offset) + math.prod(image.shape) * image.get_data_dtype().itemsize


def _decompressed(image: nib.Nifti1Image, path: Path) -> nib.Nifti1Image:
    """Read a gzip file to its end, where the checksum is: nibabel stops at the last voxel and takes damaged ones."""
    with gzip.open(path) as stream:
        content = stream.read(_promised_bytes(image))
        if stream.read(2**20):  # so many bytes, so that damage shows by the checksum
            raise _too_long(path, image)
    return type(image).from_bytes(content)


def _shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Drop trailing axes of size 1 beyond the third: a single time point is a plain volume."""
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _frames(header: nib.Nifti1Header, shape: tuple[int, ...]) -> tuple[str, tuple[float, ...]]:
    """Describe the fourth axis: `frame_axis` and `frame_values` of a `ScanHeader`."""
    if len(shape) < 4:
        return "", (0.0,)
    unit = header.get_xyzt_units()[1]
    # The shortest decimal number that is this float32: 0.0333 s and not 0.033300001 s.
    step, start = (float(str(np.float32(value))) for value in (header["pixdim"][4], header["toffset"]))
    start = start if math.isfinite(start) else 0.0
    has_step = math.isfinite(step) and step > 0
    if not has_step:
        step, start = 1.0, 0.0
    is_timed = unit in _MILLISECONDS and has_step
    factor = _MILLISECONDS[unit] if is_timed else 1.0
    values = tuple(float(f"{(start + step * number) * factor:.9g}") for number in range(shape[3]))
    return "time" if is_timed else "frame", values


def _set_frames(header: nib.Nifti1Header, values: Sequence[float], factor: float, shown_as: str) -> None:
    """Set first value and step of the fourth axis from the values of the frames."""
    times = np.asarray(values, dtype=np.float64)
    step = float(times[-1] - times[0]) / (len(times) - 1)
    uneven = float(np.abs(times - (times[0] + step * np.arange(len(times)))).max())
    if step <= 0 or uneven > _LARGEST_UNEVENNESS * step:
        logger.warning(
            "%s: the frames are not evenly spaced (%s); the NIfTI header can only hold their mean step, %.6g",
            shown_as,
            ", ".join(f"{value:g}" for value in times),
            step,
        )
    header["pixdim"][4] = abs(step) / factor
    header["toffset"] = times[0] / factor


def _affine(image: nib.Nifti1Image, path: Path) -> np.ndarray:
    header = image.header
    sform, sform_code = header.get_sform(coded=True)
    try:
        qform, qform_code = header.get_qform(coded=True)
    except Exception as err:  # a quaternion longer than 1
        if sform is None:
            raise InputError(
                f"{path}: the qform is not a rotation ({err}) and no sform is set; mend the header"
            ) from err
        qform, qform_code = None, 0
    if sform is not None:
        shape = _shape(image.shape)[:3]
        both_finite = qform is not None and np.isfinite(qform).all() and np.isfinite(sform).all()
        if both_finite and affine_distance(shape, sform, qform) > _SAME_PLACE_MM:
            logger.warning(
                "%s: sform (code %d) and qform (code %d) place the scan up to %.3g mm apart; the sform is used",
                path,
                sform_code,
                qform_code,
                affine_distance(shape, sform, qform),
            )
        return np.asarray(sform, dtype=np.float64)
    if qform is not None:
        return np.asarray(qform, dtype=np.float64)
    logger.warning(
        "%s: neither sform nor qform is set, so position and orientation are unknown; the voxel sizes alone are used, "
        "with the first axis taken to run to the left and the centre of the scan as origin",
        path,
    )
    return np.asarray(header.get_base_affine(), dtype=np.float64)


def _set_qform(header: nib.Nifti1Header, affine: np.ndarray, code: int, shape: tuple[int, ...], shown_as: str) -> None:
    """Set the qform as near to the affine as its three float32 numbers allow; mark it as not set where that is too far.

    The fourth number of the quaternion is not stored but is sqrt(1 - b^2 - c^2 - d^2). Near half a turn (every scan
    with axes L-P-S) it is small, and float32 rounding of b, c, d moves it a lot: a scan of 200 mm is misplaced by up to
    0.3 mm. Solving one of b, c, d from the other two as rounded, where that is nearer, recovers most of it; within
    0.2 degrees of half a turn about an array axis nothing does. Shear cannot be held at all.
    """
    header.set_qform(affine, code, strip_shears=True)
    best = [np.float32(header[name]) for name in _QUATERNION]
    best_error = affine_distance(shape, affine, header.get_qform())
    for values in _solved_quaternions(affine, float(header["pixdim"][0])):
        _set_quaternion(header, values)
        try:
            error = affine_distance(shape, affine, header.get_qform())
        except ValueError:  # longer than a unit quaternion
            continue
        if error < best_error:
            best, best_error = values, error
    _set_quaternion(header, best)
    if best_error > _LARGEST_QFORM_ERROR_VOXELS * float(np.linalg.norm(affine[:3, :3], axis=0).min()):
        header["qform_code"] = 0
        logger.warning(
            "%s: a qform cannot hold this affine, which is sheared or very near half a turn (it would be up to %.3g mm "
            "off); the sform holds it, and the qform is marked as not set",
            shown_as,
            best_error,
        )


def _solved_quaternions(affine: np.ndarray, qfac: float) -> Iterator[list[np.float32]]:
    """Yield b, c, d of the rotation nearest to an affine, one of them solved from the other two as rounded."""
    left, _, right = np.linalg.svd(affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0))
    exact = mat2quat(left @ right * (1.0, 1.0, qfac))
    exact *= np.copysign(1.0, exact[0])
    for solved in range(1, 4):
        values = exact.astype(np.float32).astype(np.float64)
        values[0], values[solved] = exact[0], 0.0
        values[solved] = np.copysign(math.sqrt(max(1.0 - float(values @ values), 0.0)), exact[solved])
        yield list(values[1:].astype(np.float32))


def _set_quaternion(header: nib.Nifti1Header, values: list[np.float32]) -> None:
    for name, value in zip(_QUATERNION, values, strict=True):
        header[name] = value
