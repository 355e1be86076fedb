"""HDF5 files through h5py: one dataset of three axes is the volume, and nothing outside the file is read.

HDF5 has no convention for the place of a volume. Two attributes, of the dataset or else of the file, are read and
written: `affine` (4x4, voxel index to RAS+ world, mm) and `spacing` (mm, one number for each axis of the array).
"""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from custom.errors import InputError
from custom.scans.reference import ScanReference
from custom.scans.scan import Scan, ScanHeader, check_shape
from custom.scans.sizes import check_memory
from custom.scans.stored import stored_values

__all__ = ["HDF5_SUFFIXES", "check_hdf5_header", "read_hdf5", "write_hdf5"]

logger = logging.getLogger(__name__)

HDF5_SUFFIXES = (".h5", ".hdf5")

# As the published scripts for knees call it.
_USUAL_NAME = "data1"
_AXES = 3
_FLOAT32_BYTES = 4
_CHECKSUM_BYTES = 4
# No file of volumes has more groups and datasets.
_MOST_OBJECTS = 10_000
_SHOWN_DATASETS = 8
# Not carried into results: where the source lies, and fastMRI's largest value and norm of its volume.
_OF_THE_SOURCE = ("affine", "spacing", "max", "norm")
# Bytes; the format holds 64 kB beside an object.
_LARGEST_ATTRIBUTE = 60_000


def check_hdf5_header(scan: ScanReference) -> None:
    """Find the volume in a file and refuse what cannot be a scan; its values are not read.

    Raises:
        InputError: for a file that is not HDF5, and as `read_hdf5` for its volume.
    """
    with _opened(scan.path) as file:
        _affine(_volume(file, scan), scan.path)


def read_hdf5(scan: ScanReference, memory_limit: float | None = None) -> Scan:
    """Read the volume of an HDF5 file in float32, its axes in the order of the file.

    The volume is the dataset that the scan names; else the only one with three axes and real numbers, or that of the
    name "data1" among several. A dataset is only found by the groups of the file: links that could lead to another file
    are not followed.

    Args:
        scan: the file, and perhaps the name of the dataset.
        memory_limit: see `check_memory`.

    Raises:
        InputError: for a file that cannot be read; for no such dataset, or several; for values that are complex, no
            numbers, or in other files; for attributes `affine` and `spacing` that are none; for a volume that does not
            fit into memory.
    """
    path = scan.path
    with _opened(path) as file:
        volume = _volume(file, scan)
        # A compressed chunk is unpacked as a whole, however few of its values belong to the volume.
        chunk = math.prod(volume.chunks) * volume.dtype.itemsize if volume.chunks else 0
        check_memory(path, volume.shape, _FLOAT32_BYTES + math.ceil(2 * chunk / volume.size), memory_limit)
        affine = _affine(volume, path)
        if affine is None:
            logger.warning(
                "%s: no attribute affine or spacing, so position and voxel sizes are unknown; voxels of 1 mm are taken",
                path,
            )
        return Scan(
            array=volume.astype(np.float32)[()],
            affine=np.eye(4) if affine is None else affine,
            header=ScanHeader(stored_dtype=volume.dtype.newbyteorder("=").name),
        )


def write_hdf5(array: np.ndarray, affine: np.ndarray, header: ScanHeader, path: Path, description: str = "") -> None:
    """Write a volume as a dataset, with the attributes `affine` and `spacing`.

    If the source is an HDF5 file, the dataset has the name of the source's, and the other attributes of file and
    dataset are carried over: numbers and texts of up to 60 kB, but not those of place, and not fastMRI's `max` and
    `norm`, which are of the source's values.

    Args:
        array: (i, j, k), real numbers; integers are rounded and clipped to the range of their type.
        affine: 4x4, voxel index to RAS+ world.
        header: of the source; its `stored_dtype` is written.
        path: of the file; an existing file is replaced.
        description: for the attribute `description` of the file.

    Raises:
        InputError: if the source cannot be read any more.
        OSError: for a disk that is full.
    """
    name, of_file, of_volume = _USUAL_NAME, {}, {}
    if header.source is not None and header.source.format == "hdf5":
        with _opened(header.source.path) as source:
            volume = _volume(source, header.source)
            name, of_file, of_volume = volume.name, _kept_attributes(source), _kept_attributes(volume)
    of_volume |= {"affine": affine, "spacing": np.linalg.norm(affine[:3, :3], axis=0)}
    of_file |= {"description": description} if description else {}
    with _Output(path, "w+b") as stream:
        with h5py.File(stream, "w") as file:
            file.attrs.update(of_file)
            volume = file.create_dataset(name, array.shape, header.stored_dtype)
            volume.attrs.update(of_volume)
            for index, plane in enumerate(array):  # no second copy of the volume in memory
                volume[index] = stored_values(plane, header.stored_dtype)
        if stream.error:
            raise stream.error


class _Output(io.FileIO):
    """A file that keeps the first error of writing for later: the library crashes if it cannot close what it writes."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of the data, or note why that failed."""
        rest = memoryview(data).cast("B")
        try:
            while rest and not self.error:
                rest = rest[super().write(rest) :]
        except OSError as err:
            self.error = err
        return memoryview(data).nbytes

    def truncate(self, size: int | None = None) -> int:
        """Set the size of the file, or note why that failed."""
        try:
            return super().truncate(size)
        except OSError as err:
            self.error = self.error or err
            return size or 0


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading, and turn any error of the library into one `InputError` that names the file."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except InputError:
        raise
    except Exception as err:  # h5py raises OSError, RuntimeError, KeyError and others for a broken file
        details = (str(err).splitlines() or ["no details"])[0]
        raise InputError(
            f"{path}: cannot be read as HDF5, it is truncated, damaged or another kind of file "
            f"({type(err).__name__}: {details}); copy or convert it again"
        ) from err


def _volume(file: h5py.File, scan: ScanReference) -> h5py.Dataset:
    """Return the dataset that a scan stands for; see `read_hdf5`."""
    path, wanted = scan.path, scan.dataset.strip("/")
    datasets = _datasets(file, path)
    volumes = [name for name, dataset in datasets.items() if _is_volume(dataset)]
    there = ", ".join(_words(name, dataset) for name, dataset in list(datasets.items())[:_SHOWN_DATASETS])
    there += ", ..." if len(datasets) > _SHOWN_DATASETS else ""
    if wanted and wanted not in volumes:
        wrong = "is no volume" if wanted in datasets else "is not there (links are not followed)"
        raise InputError(
            f"{path}: the dataset {wanted!r} {wrong}; a volume has three axes, real numbers, and its values in this "
            f"file; there are: {there or 'none'}"
        )
    if not volumes:
        raise InputError(
            f"{path}: no dataset is a volume, with three axes, real numbers, and its values in this file (k-space has "
            f"to be reconstructed first; links are not followed); there are: {there or 'none'}"
        )
    if not wanted and len(volumes) > 1 and _USUAL_NAME not in volumes:
        raise InputError(
            f"{path}: {len(volumes)} datasets are volumes: {', '.join(volumes[:_SHOWN_DATASETS])}; choose one by "
            "--hdf5_dataset, or by the key dataset of a manifest"
        )
    name = wanted or (volumes[0] if len(volumes) == 1 else _USUAL_NAME)
    volume = datasets[name]
    check_shape(volume.shape, path)
    _check_stored(volume, path)
    return volume


def _check_stored(volume: h5py.Dataset, path: Path) -> None:
    """Refuse a dataset whose values were not all written: HDF5 gives 0 for them.

    Raises:
        InputError: with how many of its parts (chunks) are there.
    """
    parts, stored = 1, int(volume.id.get_storage_size() > 0)
    if volume.chunks:
        parts = math.prod(math.ceil(size / chunk) for size, chunk in zip(volume.shape, volume.chunks, strict=True))
        sizes: dict[tuple[int, ...], int] = {}
        volume.id.chunk_iter(lambda chunk: sizes.__setitem__(chunk.chunk_offset, chunk.size))
        # The library crashes when it unpacks a chunk that is smaller than its checksum.
        stored = sum(size > _CHECKSUM_BYTES for size in sizes.values())
    if stored < parts:
        raise InputError(
            f"{path}: of the dataset {volume.name!r} {stored} of {parts} parts (chunks) were written; export it again"
        )


def _datasets(file: h5py.File, path: Path) -> dict[str, h5py.Dataset]:
    """Return all datasets in the groups of a file by their paths."""
    found: dict[str, h5py.Dataset] = {}
    root = file["/"]
    seen, waiting, count = {root}, [("", root)], 0
    while waiting:
        above, group = waiting.pop()
        for name in group:
            count += 1
            if count > _MOST_OBJECTS:
                raise InputError(
                    f"{path}: more than {_MOST_OBJECTS} groups and datasets; copy the volume into a file of its own"
                )
            # A soft or external link may lead out of the file.
            if group.get(name, getclass=True, getlink=True) is not h5py.HardLink:
                continue
            entry = group[name]
            if isinstance(entry, h5py.Dataset):
                found[above + name] = entry
            elif isinstance(entry, h5py.Group) and entry not in seen:  # a group may hold itself
                seen.add(entry)
                waiting.append((f"{above}{name}/", entry))
    return found


def _is_volume(dataset: h5py.Dataset) -> bool:
    # The values of virtual and external datasets lie in other files, which must not even be opened.
    return not dataset.is_virtual and not dataset.external and dataset.ndim == _AXES and dataset.dtype.kind in "iuf"


def _words(name: str, dataset: h5py.Dataset) -> str:
    """Describe a dataset for a message: "kspace (15 x 640 x 368, complex64)"."""
    if dataset.is_virtual or dataset.external:
        return f"{name} (in other files)"
    size = " x ".join(map(str, dataset.shape or ())) or "one value"
    return f"{name} ({size}, {'mixed' if dataset.dtype.kind in 'VO' else dataset.dtype.name})"


def _affine(volume: h5py.Dataset, path: Path) -> np.ndarray | None:
    """Return the affine that the attributes `affine` or `spacing` give, None where there is neither.

    Raises:
        InputError: for attributes of another shape, or a spacing that is not above 0.
    """
    for attributes in (volume.attrs, volume.file.attrs):
        if "affine" in attributes:
            return _numbers(attributes, "affine", (4, 4), path)
        if "spacing" in attributes:
            spacing = _numbers(attributes, "spacing", (3,), path)
            if not (spacing > 0).all():
                raise InputError(
                    f"{path}: the attribute spacing is {spacing.tolist()}; give three numbers above 0 (mm)"
                )
            return np.diag([*spacing, 1.0])
    return None


def _numbers(attributes: Mapping[str, Any], name: str, shape: tuple[int, ...], path: Path) -> np.ndarray:
    try:
        values = np.asarray(attributes[name], dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.shape != shape:
        raise InputError(
            f"{path}: the attribute {name} has to be {' x '.join(map(str, shape))} numbers; mend or remove it"
        )
    return values


def _kept_attributes(source: h5py.HLObject) -> dict[str, Any]:
    """Return the attributes that a result has too: numbers and texts, since references would lead nowhere there."""
    kept = {}
    for name in source.attrs:
        stored = source.attrs.get_id(name)
        is_known = stored.dtype.kind in "biufS" or h5py.check_string_dtype(stored.dtype)
        value = source.attrs[name] if is_known and name not in _OF_THE_SOURCE else None
        if isinstance(value, (str, bytes, np.generic, np.ndarray)) and np.asarray(value).nbytes < _LARGEST_ATTRIBUTE:
            kept[name] = value
    return kept
