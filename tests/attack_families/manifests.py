"""Manifests that name too much, or contradict themselves, or are no manifests."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from dicom_files import Layout, write_classic
from manifest_files import GOOD, save_manifest, save_nifti, splits_of_subjects

from attack_families.attack import GIB, Attack, WrongError, check_message
from custom.errors import InputError
from custom.manifests import load_manifest

__all__ = ["manifests"]

_RANGES = (
    *("sub-[1-1000000000]", "sub-[1-99999999999999999999]", "[0-99999][0-99999]", "sub-[000-100000]", "sub-[9-1]"),
    *("[1-" + "9" * 4000 + "]", "sub-[1-2]-[1-1000000000]", "sub-[" + "0" * 1000 + "-1]", "[0-99999]", "sub-[1-0]"),
)
_PATTERNS = (
    *("../{subject}.nii", "/{subject}.nii", "{subject}", "{subject}/../../{subject}.nii", "{subject}" * 50 + ".nii"),
    *("{subject}{subject?}{subject?}x.nii", "", "\0{subject}.nii", "{a}{subject}.nii", "**/{subject}.nii"),
)


def manifests(rng: np.random.Generator) -> Iterator[Attack]:
    """Load them on a folder of four sound subjects."""
    yield Attack("as it should be", _load, (GOOD,), must="result")
    for entry in _RANGES:
        for name in ("train", "test"):
            content = {**GOOD, "split": {**GOOD["split"], name: [entry]}}
            yield Attack(f"{entry[:40]} in {name}", _load, (content,), must="refused", memory=GIB)
    yield Attack("1,000 long ranges", _load, (_split(train=[f"s{n}-[1-90000]" for n in range(1000)]),), must="refused")
    for pattern in _PATTERNS:
        yield Attack(f"pattern {pattern[:40]!r}", _load, ({**GOOD, "patterns": [pattern]},))
    values: tuple[Any, ...] = (None, "", [], {}, 3, 1e400, True, "x" * 100_000, [[[]]], {"by": "fractions"}, {"by": []})
    for key, value in itertools.product(GOOD, values):
        yield Attack(f"{key}: {str(value)[:20]}", _load, ({**GOOD, key: value},))
    numbers: tuple[Any, ...] = (-1, 2**70, 1e308, 0.5, "0")
    for number in numbers:
        split: dict[str, Any] = {
            "by": "fractions",
            "random_seed": number,
            "train": 0.5,
            "validation": 0.25,
            "test": 0.25,
        }
        yield Attack(f"random_seed {number}", _load, ({**GOOD, "split": split},))
    texts = (
        "[" * 100_000,
        '{"a":' * 100_000,
        "",
        "\ufeff{}",
        "null",
        "NaN",
        '{"name": "a", "name": "b"}',
        "\0" * 1000,
    )
    for text in texts:
        yield Attack(f"text {text[:20]!r}", _text, (text,), must="refused")
    yield Attack("bytes that are no text", _bytes, (rng.bytes(1000),), must="refused")
    for name, twice in _TWICE.items():
        yield Attack(f"one scan for two subjects, {name}", _read_twice, (twice,), must="refused")


def _split(**values: Any) -> dict[str, Any]:
    return {**GOOD, "split": {**GOOD["split"], **values}}


def _load(folder: Path, content: dict[str, Any]) -> None:
    save_nifti(*(folder / "data" / f"{subject}.nii" for subject in "abcd"))
    _checked(folder, save_manifest(folder, content))


def _text(folder: Path, text: str) -> None:
    _bytes(folder, text.encode())


def _bytes(folder: Path, content: bytes) -> None:
    save_nifti(folder / "data" / "a.nii")
    (folder / "mine.json").write_bytes(content)
    _checked(folder, folder / "mine.json")


def _checked(folder: Path, path: Path) -> None:
    """Load a manifest; nobody may be in two splits, and no file outside of the folder be read."""
    try:
        manifest = load_manifest(path, folder / "data")
    except InputError as err:
        check_message(str(err)[:1500], folder)  # a list of all that is wrong may be long
        raise
    if any(len(splits) > 1 for splits in splits_of_subjects(manifest).values()):
        raise WrongError("a subject is in two splits")
    if any(not Path(item["label"]).is_relative_to(folder / "data") for item in manifest.items("train")):
        raise WrongError("a file outside of the folder is read")


def _hard_link(data: Path) -> None:
    (data / "b.nii").unlink()
    (data / "b.nii").hardlink_to(data / "a.nii")


def _soft_link(data: Path) -> None:
    (data / "b.nii").unlink()
    (data / "b.nii").symlink_to(data / "a.nii")


def _folder_link(data: Path) -> None:
    shutil.rmtree(data)
    write_classic(data / "a", Layout(shape=(6, 5, 2)))
    for subject in "cd":
        write_classic(data / subject, Layout(shape=(6, 5, 2)), study=f"1.2.{ord(subject)}")
    (data / "b").symlink_to(data / "a")


def _files_of_a_series(data: Path) -> None:
    shutil.rmtree(data)
    for subject, file in zip("abcd", write_classic(data, Layout(shape=(6, 5, 4))), strict=True):
        file.rename(data / f"{subject}.nii")


_TWICE: dict[str, Callable[[Path], None]] = {
    "hard link": _hard_link,
    "link": _soft_link,
    "link to a folder": _folder_link,
    "files of one series": _files_of_a_series,
}


def _read_twice(folder: Path, twice: Callable[[Path], None]) -> None:
    save_nifti(*(folder / "data" / f"{subject}.nii" for subject in "abcd"))
    twice(folder / "data")
    patterns = ["{subject}/"] if (folder / "data" / "b").is_dir() else ["{subject}.nii"]
    _checked(folder, save_manifest(folder, json.loads(json.dumps({**GOOD, "patterns": patterns}))))
