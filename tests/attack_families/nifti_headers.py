"""Headers of NIfTI files that do not fit the voxels behind them."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np

from attack_families.attack import AFFINE, VALUES, Attack, convert

__all__ = ["nifti_headers"]

# Offsets of fields in the header of NIfTI-1, and how they are packed.
_FIELDS = {
    "dim": (40, "<8h"),
    "datatype": (70, "<h"),
    "bitpix": (72, "<h"),
    "pixdim": (76, "<8f"),
    "vox_offset": (108, "<f"),
}
_FIELDS |= {"scl_slope": (112, "<f"), "scl_inter": (116, "<f"), "srow": (280, "<12f"), "quatern": (256, "<6f")}


def _make(field: str, values: tuple[float, ...], suffix: str, more: bytes = b"") -> Callable[[Path], object]:
    """Write a sound file, with other values of a field and more bytes at its end."""
    offset, packing = _FIELDS[field]

    def make(folder: Path) -> None:
        image = nib.Nifti1Image(VALUES, AFFINE)
        image.set_qform(AFFINE, 1)
        whole = bytearray(image.to_bytes())
        struct.pack_into(packing, whole, offset, *values)
        content = bytes(whole) + more
        (folder / f"a{suffix}").write_bytes(gzip.compress(content, 1) if suffix.endswith("gz") else content)

    return make


def nifti_headers(rng: np.random.Generator) -> Iterator[Attack]:
    """Where the voxels begin, how many there are, of what type, and what they mean."""
    sizes = [3, *VALUES.shape, 1, 1, 1, 1]
    cases: list[tuple[str, tuple[float, ...], bytes, bool]] = []
    for offset in (0, 1, 4, 16, 347, 348, 351, 353, 354, 360, 368, 400, 592, 1e6, -352, float("nan"), 1e30):
        cases.append(("vox_offset", (offset,), b"", True))
    for axis in range(1, 4):
        for size in {1, sizes[axis] - 1, sizes[axis] + 1, 2 * sizes[axis], 0, -1, int(rng.integers(20, 32768))}:
            cases.append(("dim", (*sizes[:axis], size, *sizes[axis + 1 :]), b"", True))
    cases.append(("dim", (4, *VALUES.shape, 2, 1, 1, 1), b"", True))
    cases.append(("dim", (2, *sizes[1:]), b"", True))
    cases += [("dim", (rank, *sizes[1:]), b"", False) for rank in (0, 1, 7, 8, -1, 256)]
    for size in (1, 2, int(rng.integers(3, 200)), VALUES.nbytes):
        cases.append(("dim", tuple(sizes), rng.bytes(size), True))  # more is there than the sizes say
    for kind in (2, 8, 16, 32, 64, 128, 256, 768, 1024, 1536, 2304, 0, 1, 255, -1, int(rng.integers(3, 30000))):
        cases.append(("datatype", (kind,), b"", True))
    cases += [("bitpix", (bits,), b"", False) for bits in (0, 8, 32, -16)]
    for field, count in (("scl_slope", 1), ("scl_inter", 1)):
        cases += [(field, (value,) * count, b"", False) for value in (float("inf"), 3e38, 1e-45, -1.0)]
    for value in (float("nan"), float("inf"), 0.0, -1.0, 3e38, 1e-45):
        cases.append(("pixdim", (1.0, *(value,) * 7), b"", False))
        cases.append(("srow", (value,) * 12, b"", False))
        cases.append(("quatern", (value,) * 6, b"", False))
    for field, values, more, is_wrong in cases:
        for suffix in (".nii", ".nii.gz"):
            words = (
                f"{field} {', '.join(f'{value:g}' for value in values)}{f' and {len(more)} bytes more' if more else ''}"
            )
            make = _make(field, values, suffix, more)
            yield Attack(f"{words} in {suffix}", convert, (make,), must="refused" if is_wrong else "")
