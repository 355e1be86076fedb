"""What is not a file but can be opened: pipes, sockets, devices, links; each may be waited for without end."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from dicom_files import Layout, write_classic
from manifest_files import GOOD, save_manifest
from manifest_files import save_nifti as save_subjects

from attack_families.attack import Attack, check_message, convert, save_nifti
from custom.errors import InputError
from custom.manifests import load_manifest
from custom.weights import read_checkpoint

__all__ = ["special_files"]


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    place = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as server:  # a path of a socket has 107 bytes at most
        server.bind(f"/proc/self/fd/{place}/{path.name}")


def _loop(path: Path) -> None:
    path.with_name("other").symlink_to(path)
    path.symlink_to(path.with_name("other"))


_SPECIAL: dict[str, Callable[[Path], object]] = {
    "pipe": _fifo,
    "socket": _socket,
    "endless device": lambda path: path.symlink_to("/dev/zero"),
    "empty device": lambda path: path.symlink_to("/dev/null"),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
    "link to itself": _loop,
    "link to nothing": lambda path: path.symlink_to("nothing"),
    "link to memory": lambda path: path.symlink_to("/proc/self/mem"),
    "folder": lambda path: path.mkdir(),
    "folder in itself": lambda path: path.symlink_to(path.parent),
}


def special_files(rng: np.random.Generator) -> Iterator[Attack]:
    """Named as an input, beside inputs in a folder, in a manifest, as weights, as a manifest."""
    for kind, make in _SPECIAL.items():
        for name in ("a.nii", "a.nii.gz", "a.png", "a.dcm", "a", "a.jpg"):
            named = Path(name)
            yield Attack(f"{kind} {name}", _named, (make, named), must="refused")
            yield Attack(f"{kind} {name} in a folder", _beside, (make, named))
        for name in ("model.pt", "model.safetensors"):
            yield Attack(f"{kind} {name}", _weights_at, (make, name), must="refused")
        for place in ("data/a.nii", "mine.json"):
            yield Attack(f"{kind} {place} of a manifest", _manifest_with, (make, place), must="refused")


def _named(folder: Path, make: Callable[[Path], object], name: Path) -> None:
    convert(folder, lambda place: make(place / name), named=name)


def _beside(folder: Path, make: Callable[[Path], object], name: Path) -> None:
    """Read a folder that holds such a thing beside sound scans."""

    def both(place: Path) -> None:
        save_nifti(place / "b.nii")
        write_classic(place / "series", Layout(shape=(6, 5, 2)))
        make(place / name)
        make(place / "series" / name)

    convert(folder, both)


def _weights_at(folder: Path, make: Callable[[Path], object], name: str) -> None:
    make(folder / name)
    try:
        read_checkpoint(folder / name)
    except InputError as err:
        check_message(str(err), folder)
        raise


def _manifest_with(folder: Path, make: Callable[[Path], object], place: str) -> None:
    for subject in "abcd":
        save_subjects(folder / "data" / f"{subject}.nii")
    path = save_manifest(folder, GOOD)
    (folder / place).unlink()
    make(folder / place)
    load_manifest(path, folder / "data")
