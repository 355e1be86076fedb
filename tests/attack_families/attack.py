"""One attack, and the steps that the families of attacks share."""

from __future__ import annotations

import contextlib
import os
import runpy
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
from monai.data import MetaTensor

from custom.errors import InputError, UsageError
from custom.scans import ResultOptions, ScanDataset, list_scans, result_paths
from custom.transforms import LoadScand, SaveScand

__all__ = [
    "GIB",
    "VALUES",
    "Attack",
    "Family",
    "MakeFiles",
    "Outcome",
    "WrongError",
    "check_message",
    "command",
    "convert",
    "save_nifti",
    "say_into",
]

GIB = 2**30
ROOT = Path(__file__).resolve().parents[2]
AFFINE = np.array([[-0.8, 0.1, 0.0, 20.0], [0.1, 0.8, 0.0, -30.0], [0.0, 0.0, 2.0, 5.0], [0.0, 0.0, 0.0, 1.0]])
#: What a sound scan of an attack holds, unless the attack says otherwise: all voxels differ.
VALUES = np.arange(6 * 5 * 4, dtype=np.int16).reshape(6, 5, 4)
# No message for a person is longer; bytes of a file that are shown in it would make it so.
_LONGEST_MESSAGE = 1500
_CONFIGS = {"inference": "inference", "training": "train"}

MakeFiles = Callable[[Path], object]
Outcome = Literal["", "result", "refused"]


class WrongError(AssertionError):
    """A result that is not what the attack knows to be true."""


@dataclass(frozen=True)
class Attack:
    """Files or a command that something is wrong with, in a process of its own.

    Attributes:
        name: for the list of those that failed.
        steps: makes files in an empty folder, and reads them or runs a command; results go to its folder `out`. It
            returns where there is a right result, raises `InputError` where it is refused, and `WrongError` or anything
            else where the attack succeeds.
        arguments: of `steps`, behind the folder.
        must: how it has to end; "" where a right result and a refusal are both in order.
        seconds: after which it hangs.
        memory: bytes of address space beyond what the process has at its start.
    """

    name: str
    steps: Callable[..., object]
    arguments: tuple[Any, ...] = ()
    must: Outcome = ""
    seconds: float = 60.0
    memory: int = 3 * GIB


#: Yields attacks without end, or as many as there are, drawn by a generator of random numbers.
Family = Callable[[np.random.Generator], Iterator[Attack]]


def save_nifti(path: Path, values: np.ndarray = VALUES) -> Path:
    """Write a sound scan; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, AFFINE), path)
    return path


def convert(folder: Path, make: MakeFiles, expected: np.ndarray | None = None, named: Path | None = None) -> None:
    """Read the scans in a folder as inference does, and write their voxels again.

    A sound scan beside them has to be read whatever is wrong with the others.

    Args:
        folder: empty.
        make: writes the scans of the attack into its folder `in`.
        expected: the values of each of these, where they are known.
        named: what is read instead of the folder, relative to it.

    Raises:
        InputError: where a scan, or all of them, are refused.
        WrongError: for another result, a message that is none, and a sound scan that was not read.
    """
    place = folder / "in"
    sound = save_nifti(folder / "sound" / "sound.nii.gz")
    place.mkdir()
    make(place)
    refused: list[str] = []
    try:
        scans = list_scans([place / named if named else place, sound], folder / "out")
    except InputError as err:
        check_message(str(err), folder)
        raise
    options = ResultOptions(folder / "out", root=folder)
    try:
        result_paths(scans, options)
    except Exception as err:
        raise WrongError("one scan that cannot be written ends all") from err
    load, save = LoadScand("image"), SaveScand("image", options)
    was_sound = False
    items = ScanDataset([{"image": scan} for scan in scans], lambda entry: save(load({**entry})))
    for item in map(items.__getitem__, range(len(items))):
        if "error" in item:
            refused.append(str(item["error"]))
            check_message(refused[-1], folder)
            continue
        scan = item["image"]
        is_sound = scan.meta["filename_or_obj"] == str(sound)
        was_sound |= is_sound
        truth = VALUES if is_sound else expected
        if truth is not None:
            check_values(scan, truth)
        check_written(Path(item["image_path"]), scan)
    if not was_sound:
        raise WrongError(f"the sound scan beside was not read: {refused}")
    if refused:
        raise InputError(refused[0])


def check_values(scan: MetaTensor, expected: np.ndarray) -> None:
    """Compare a scan of one frame with what it has to hold."""
    if tuple(scan.shape[1:]) != expected.shape:
        raise WrongError(f"read as {tuple(scan.shape[1:])}, is {expected.shape}")
    off = np.abs(scan[0].numpy() - expected).max()
    if not off <= 1e-4 * np.abs(expected).max():
        raise WrongError(f"values are off by up to {off:g}; {scan[0].numpy().ravel()[:4]}, are {expected.ravel()[:4]}")


def check_written(path: Path, scan: MetaTensor) -> None:
    """Check that a written result is where its scan is."""
    if path.name.endswith((".nii", ".nii.gz")):
        image = nib.load(path)
        affine = scan.affine.numpy()
        if not np.allclose(image.affine, affine, rtol=1e-5, atol=1e-5 * max(1.0, np.abs(affine).max())):
            raise WrongError(f"{path.name}: written with the affine {image.affine.tolist()}, is {affine.tolist()}")
        if not np.array_equal(np.asarray(image.dataobj).ravel(), np.moveaxis(scan.numpy(), 0, -1).ravel()):
            raise WrongError(f"{path.name}: other values were written than were read")


def check_message(words: str, folder: Path) -> None:
    """Refuse the words of a refusal that help nobody: without a file or key, a traceback, or endless."""
    if "Traceback" in words or not words:
        raise WrongError(f"no message for a person: {words[:1000]!r}")
    if len(words) > _LONGEST_MESSAGE:
        raise WrongError(f"a message of {len(words)} letters: {words[:300]!r}")
    if folder.name not in words:
        raise WrongError(f"names no file: {words}")


def command(folder: Path, *words: str, bundle: str = "brain_mri_espcn", run_id: str = "inference") -> str:
    """Run a bundle's command as the process that this is, as its last deed.

    Args:
        folder: the working directory of the command; gets its output as `command.log`.
        words: of the command line behind the config file.
        bundle: which bundle's.
        run_id: "inference" or "training".

    Returns:
        What it printed.

    Raises:
        UsageError: where it ended with 2.
        InputError: where it ended with 1.
        WrongError: for a traceback, and any other end.
    """
    root = ROOT / "bundles" / bundle
    log = folder / "command.log"
    say_into(log)
    os.chdir(folder)
    arguments = ["--config_file", str(root / "configs" / f"{_CONFIGS[run_id]}.json"), "--bundle_root", str(root)]
    sys.argv = ["monai.bundle", "run", run_id, *arguments, *words]
    code = _exit_code(lambda: runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True))
    printed = log.read_text(errors="replace")
    if "Traceback (most recent call last)" in printed:
        raise WrongError(f"a bare traceback: {printed[-1500:]}")
    if code == 0:
        return printed
    last = "\n".join(line for line in printed.splitlines() if line.startswith("error: "))
    if code not in (1, 2) or not last:
        raise WrongError(f"exit code {code}: {printed[-1000:]}")
    raise (UsageError if code == 2 else InputError)(last)


def say_into(log: Path) -> None:
    """Let all that this process prints go into a file."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    for descriptor in (1, 2):
        os.dup2(output, descriptor)


def _exit_code(run: Callable[[], Any]) -> int:
    """Return the code with which Python would end, its exception hook called."""
    error: BaseException | None = None
    try:
        run()
    except SystemExit as end:
        return _code_of(end)
    except BaseException as err:
        error = err
    if error is None:
        return 0
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except SystemExit as end:
        return _code_of(end)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
    return 1


def _code_of(end: SystemExit) -> int:
    if isinstance(end.code, str):
        print(end.code, file=sys.stderr, flush=True)
        return 1
    return int(end.code or 0)
