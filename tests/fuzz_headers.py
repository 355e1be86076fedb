"""Change bytes of headers at random and count what reading and writing such scans ends in.

    python tests/fuzz_headers.py --count 1000 --keep escaped

Every file has to be read (and its voxels written again) or refused with one `InputError` that names it; anything else
is listed, and its file kept. A process of its own reads them: a crash, or a file that takes longer than the limit,
does not end the count.
"""

from __future__ import annotations

import argparse
import gzip
import logging
import multiprocessing
import resource
import shutil
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pydicom
from dicom_files import Layout, save, write_classic, write_enhanced
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from custom.errors import InputError, input_error_in
from custom.scans import ResultOptions, read_scan
from custom.transforms import SaveScand

__all__ = ["KINDS", "changed", "outcome"]

_MEMORY_BYTES = 12 * 2**30  # of address space, most of which is torch's own
_LAYOUT = Layout(shape=(5, 4, 2), frames=2)
# What a length, a count or a code may not be, little and big endian.
_EXTREMES = (b"\0\0", b"\xff\xff", b"\xff\x7f", b"\x7f\xff", b"\0\x80", b"\xff" * 4, b"\xff\xff\xff\x7f", b"    ")


def _mutated(content: bytes, rng: np.random.Generator, header: int) -> bytes:
    """Change a file somewhere in its first bytes: a bit or byte, an extreme, some bytes more or fewer, its end.

    Args:
        content: a sound file.
        rng: says what and where.
        header: how many bytes count as header.
    """
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, max(min(header, len(changed)), 1)))
        how = int(rng.integers(0, 10))
        if how < 5:
            changed[at : at + 1] = bytes([changed[at] ^ int(rng.integers(1, 256))])
        elif how < 7:
            extreme = _EXTREMES[int(rng.integers(len(_EXTREMES)))]
            changed[at : at + len(extreme)] = extreme
        elif how == 7:
            changed[at:at] = rng.bytes(int(rng.integers(1, 9)))
        elif how == 8:
            del changed[at : at + int(rng.integers(1, 9))]
        else:
            size, source = int(rng.integers(1, 33)), int(rng.integers(0, max(min(header, len(changed)), 1)))
            changed[at : at + size] = changed[source : source + size]
        if not changed:
            return b""
    if rng.random() < 0.05:
        del changed[int(rng.integers(0, len(changed))) :]
    return bytes(changed)


def outcome(path: Path, out: Path) -> str:
    """Read a scan and write its voxels again; return "read", "refused", or what is wrong with how it was refused."""
    words = ""
    try:
        scan = read_scan(path)
        SaveScand("pred", ResultOptions(out, overwrite=True))({"pred": scan})
    except InputError as err:
        words = str(err)
    except Exception as err:
        # a failed transform of MONAI wraps what it failed of
        cause = input_error_in(err)
        if cause is None:
            return "".join(traceback.format_exception(err))
        words = str(cause)
    if not words:
        return "read"
    if str(path.parent) not in words and str(out) not in words:
        return f"an error that names no file: {words}"
    return "refused" if len(words) < 1500 else f"an error of {len(words)} letters: {words[:1000]}"


def _classic(folder: Path, syntax: str | None = None, **layout: object) -> Path:
    if syntax == RLELossless:
        files = write_classic(folder, _LAYOUT)
        for file in files:
            data = pydicom.dcmread(file)
            data.compress(RLELossless)
            save(data, file)
        return files[1]
    return write_classic(folder, _LAYOUT, **({"syntax": syntax} if syntax else {}))[1]  # type: ignore[arg-type]


def _nifti(path: Path, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = 3 if "frames" in options else None
    kind = nib.Nifti2Image if "two" in options else nib.Nifti1Image
    voxels = np.arange(60 * (frames or 1), dtype=np.int16).reshape((3, 4, 5, frames) if frames else (3, 4, 5))
    image = kind(voxels, np.diag([1.0, 2.0, 3.0, 1.0]))
    image.header.set_slope_inter(0.5, 3.0)
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)
    return path


def _hdf5(path: Path, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        volume = file.create_dataset("data1", data=np.arange(60.0).reshape(3, 4, 5), **options)
        volume.attrs["spacing"] = (1.0, 2.0, 3.0)
    return path


#: What is changed: each makes its scan in a folder and gives the file that is changed.
KINDS: dict[str, Callable[[Path], Path]] = {
    "dicom classic": _classic,
    "dicom enhanced": lambda folder: write_enhanced(folder / "a.dcm", _LAYOUT),
    "nifti": lambda folder: _nifti(folder / "a.nii"),
    "nifti.gz": lambda folder: _nifti(folder / "a.nii.gz"),
    "dicom rle": lambda folder: _classic(folder, RLELossless),
    "dicom gz": _classic,
    "nifti 4d": lambda folder: _nifti(folder / "a.nii", frames=3),
    "nifti-2": lambda folder: _nifti(folder / "a.nii", two=True),
    "dicom implicit": lambda folder: _classic(folder, ImplicitVRLittleEndian),
    "hdf5": lambda folder: _hdf5(folder / "a.h5"),
    "hdf5 packed": lambda folder: _hdf5(folder / "a.h5", compression="gzip", chunks=(2, 4, 5), fletcher32=True),
    "dicom big endian": lambda folder: _classic(folder, ExplicitVRBigEndian),
}


def changed(kind: str, content: bytes, rng: np.random.Generator) -> bytes:
    """Change a file of a kind; packed ones inside, or one time of four the packed bytes themselves."""
    header = 352 if kind.startswith("nifti") else len(content)
    if not kind.endswith("gz"):
        return _mutated(content, rng, 540 if kind == "nifti-2" else header)
    plain = gzip.decompress(content) if kind == "nifti.gz" else content
    if rng.random() < 0.25:
        packed = gzip.compress(plain, mtime=0)
        return _mutated(packed, rng, len(packed))
    return gzip.compress(_mutated(plain, rng, header), mtime=0)


def _serve(pipe: Connection, out: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    warnings.simplefilter("ignore")
    logging.disable()
    while True:
        path = pipe.recv()
        if path is None:
            return
        pipe.send(outcome(path, out))
        shutil.rmtree(out, ignore_errors=True)


class _Reader:
    """A process that reads files until one makes it crash or hang; the next file gets a new one."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, self.out), daemon=True)
        self.process.start()
        theirs.close()
        self.pipe.send(Path(__file__).parent / "no such file")  # until torch and all else is imported
        self.pipe.recv()

    def __call__(self, path: Path, seconds: float) -> str:
        self.pipe.send(path)
        try:
            if self.pipe.poll(seconds):
                return str(self.pipe.recv())
            found = "hung"
        except EOFError:
            self.process.join()
            found = f"the process ended with {self.process.exitcode}"
        self.process.kill()
        self._start()
        return found

    def stop(self) -> None:
        self.pipe.send(None)
        self.process.join()


def main() -> int:
    """Count, print and say by the exit code whether all went well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="files, shared out among the kinds")
    parser.add_argument("--seconds", type=float, default=20.0, help="limit of each file")
    parser.add_argument("--rng", type=int, default=0, help="start of the random numbers")
    parser.add_argument("--keep", type=Path, help="folder for files that were neither read nor refused")
    options = parser.parse_args()
    totals: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    with tempfile.TemporaryDirectory() as name:
        read = _Reader(Path(name) / "out")
        for number in range(options.count):
            kind = list(KINDS)[number % len(KINDS)]
            folder = Path(name) / str(number)
            file = KINDS[kind](folder)
            content = changed(kind, file.read_bytes(), np.random.default_rng([options.rng, number]))
            file.write_bytes(content)
            found = read(file, options.seconds)
            short = found if found in ("read", "refused", "hung") else "escaped"
            totals[kind][short] += 1
            if short in ("hung", "escaped"):
                print(f"--- {number} {kind}: {found}", flush=True)
                if options.keep:
                    shutil.copytree(folder, options.keep / f"{number} {kind}", dirs_exist_ok=True)
            shutil.rmtree(folder)
        read.stop()
    totals["all"] = sum(totals.values(), Counter())
    for kind, counts in totals.items():
        print(f"{kind:18}", *(f"{counts[key]:6} {key}" for key in ("read", "refused", "escaped", "hung")))
    return int(bool(totals["all"]["escaped"] or totals["all"]["hung"]))


if __name__ == "__main__":
    sys.exit(main())
