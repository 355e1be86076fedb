"""Names of files and folders that systems allow and programs trip over."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import nibabel as nib
import numpy as np
from dicom_files import Layout, content, write_classic
from PIL import Image
from tiny_scans import tiny_volume

from attack_families.attack import VALUES, Attack, MakeFiles, WrongError, command, convert, save_nifti
from custom.errors import UsageError

__all__ = ["command_names", "file_names"]

_NAMES = (
    *("T1#2", "None", "2024_10", "1e3", "True", "Doe, John", "$HOME", "$(id)", "$import os", "$print(1)", "%5"),
    *("@input", "a::b", "[1,2]", "{'a': 1}", "'a'", '"a"', "a\nb", "a\tb", " a ", "-", "--input", "~", "*", "?", "a;b"),
    *("a|b", "\\", "null", "nan", "0", "-1", "ä", "脳", "a.nii", "x_sr", "a b", "\x1b[31m", "\u202eb", "a%20b", "%s"),
    *("{0}", "__sr"),
)
#: Bytes that are no UTF-8.
_NO_TEXT = b"a\xff\xfeb".decode(errors="surrogateescape")


def file_names(rng: np.random.Generator) -> Iterator[Attack]:
    """Read scans of these names, in a folder and named themselves, and write results named after them."""
    letters = "abcdefghijklmnopqrstuvwxyz$#@%'\"()[]{},;:!& =+~^`|<>?*\\\n\t"
    drawn = ["".join(rng.choice(list(letters), 8)) for _ in range(10)]
    for name in [*_NAMES, _NO_TEXT, *drawn]:
        for kind in ("nifti", "picture", "dicom"):
            yield Attack(f"{kind} {name!r}", _read, (name, kind), must="result")
    # With _sr and the ending the longer ones are more than a name may have.
    for length in (200, 246, 247, 248, 249, 250, 251):
        for kind in ("nifti", "picture", "dicom"):
            yield Attack(f"{kind} of {length} letters", _read, ("n" * length, kind))
    yield Attack("a name that no file can have", convert, (_nothing, None, Path("n" * 300 + ".nii")))
    yield Attack("a path of 5000 letters", convert, (_nothing, None, Path("n/" * 2500 + "a.nii")))
    yield Attack("a name with a NUL", convert, (_nothing, None, Path("a\0b.nii")), must="refused")


def _nothing(folder: Path) -> None:
    """Make no file."""


def _read(folder: Path, name: str, kind: str) -> None:
    """Read a scan of a name, within its folder and named itself."""
    layout, pixels = Layout(shape=(6, 5, 2)), np.arange(30, dtype=np.uint8).reshape(5, 6)
    makes: dict[str, tuple[str, MakeFiles, np.ndarray]] = {
        "nifti": (".nii", lambda place: save_nifti(place / f"{name}.nii"), VALUES),
        "picture": (".png", lambda place: Image.fromarray(pixels).save(place / f"{name}.png"), pixels),
        "dicom": ("", lambda place: write_classic(place / name, layout), content(layout)),
    }
    ending, make, values = makes[kind]
    for named in (None, Path(name + ending)):
        convert(folder, make, values, named)
        results = [path.name for path in (folder / "out" / "in").iterdir()]
        if results != [f"{name}_sr{ending}"]:
            raise WrongError(f"written as {results}")
        for place in ("in", "out", "sound"):
            shutil.rmtree(folder / place)


def command_names(rng: np.random.Generator) -> Iterator[Attack]:
    """Give such words to the inference command: they are the path that was typed, and nothing else."""
    words = [*_NAMES[:6], "$@bundle_root", "$open('ran', 'w')", "@checkpoint", "'a'", "{'_target_': 'os.abort'}"]
    for name in [*words, *rng.choice([word for word in _NAMES if word not in words], 6, replace=False)]:
        for key in ("input", "output_dir"):
            yield Attack(f"--{key} {name!r}", _infer, (str(name), key), must="result", seconds=240)
    missing = (("--input", ""), ("--input=",), ("--input",), (), ("--input", "--overwrite", "true"))
    for typed in (*missing, ("--input", "-"), ("--input", "-a"), ("--input", "a", "b"), ("--input", "a", "--", "b")):
        yield Attack(f"no input: {typed}", _refused, typed, must="refused", seconds=240)


def _infer(folder: Path, name: str, key: str) -> None:
    given = {"input": "a scan", "output_dir": "results", key: name}
    scan = folder / given["input"] / "a.nii.gz"
    save_nifti(scan, tiny_volume(0, (12, 10, 2)))
    there = set(folder.rglob("*"))
    # Before it reads a line of ours, MONAI opens what follows a %, and imports what follows $import.
    paths = {key: f"./{value}" if value.startswith(("%", "$import")) else value for key, value in given.items()}
    words = ([f"--{key}={path}"] if path.startswith("-") else [f"--{key}", path] for key, path in paths.items())
    command(folder, *chain.from_iterable(words))
    result = folder / given["output_dir"] / "a_sr.nii.gz"
    made = {path for path in folder.rglob("*") if path not in there} - {result, result.parent, folder / "command.log"}
    if made:
        raise WrongError(f"made {sorted(path.name for path in made)}")
    if not result.is_file() or nib.load(result).shape != (48, 40, 2):
        raise WrongError(f"no result of 48 x 40 x 2 voxels at {result.relative_to(folder)}")


def _refused(folder: Path, *words: str) -> None:
    """Without an input the command is wrong (2); the sample is used where it is asked for."""
    try:
        command(folder, "--output_dir", str(folder / "out"), *words)
    except UsageError:
        raise
    except Exception as err:
        raise WrongError(f"is not called wrong use: {err}") from err
