"""Data manifests: what a data set is, where its files are, and which subject is in which split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from custom.errors import InputError, MissingFileError, UsageError
from custom.manifests.pairing import pairing_problems
from custom.manifests.patterns import FoundFile, fill_fields, find_files
from custom.manifests.schema import known_manifests, listed, manifest_digest, manifest_folder, read_manifest
from custom.manifests.splits import SPLITS, expand_ranges, split_by_field, split_by_fractions, subjects_in_two_splits
from custom.scans.readers import check_header

__all__ = ["Manifest", "load_manifest", "sample_folder"]


@dataclass(frozen=True)
class Manifest:
    """A data set that has been found and checked.

    Attributes:
        name: of the manifest.
        kind: "volume", "slices", "cine" or "kspace".
        modality: such as "T1w MRI of the brain".
        licence: of the data.
        citation: what to cite.
        sample: whether it is a demonstration, not a result.
        digest: sha256 (hexadecimal) of the manifest as canonical JSON.
        path: the manifest's own file.
        dataset_dir: where the data are.
        content: the manifest as read.
        subjects: for each split its subjects.
    """

    name: str
    kind: str
    modality: str
    licence: str
    citation: str
    sample: bool
    digest: str
    path: Path
    dataset_dir: Path
    content: dict[str, Any]
    subjects: dict[str, list[str]]
    _items: dict[str, list[dict[str, Any]]] = field(repr=False)

    def items(self, split: str) -> list[dict[str, Any]]:
        """Return the files of a split, sorted by subject, one dictionary a file (or, for a sample, a slab).

        Returns:
            Dictionaries with "label" (path; for a pattern that ends in "/" the folder of one DICOM stack), "subject",
            "mask" (path) where the manifest has masks, "image" (path of the low-resolution picture) where it has
            those, "slice" and "phase" (numbers from 0) where it says how single frames are numbered, and "slab"
            ({"axis", "start", "stop"}, fractions of the axis) where the split is by slabs.

        Raises:
            UsageError: for a split that does not exist.
            InputError: for a split that the manifest leaves empty.
        """
        if split not in SPLITS:
            raise UsageError(f"no split is named {split!r}; known are {', '.join(SPLITS)}")
        if not self._items[split]:
            raise InputError(f"{self.path}: the split {split!r} is empty; give it subjects under split.{split}")
        return [dict(item) for item in self._items[split]]


def sample_folder() -> Path:
    """Return the folder of the scans that come with this package."""
    return manifest_folder() / "sample"


def load_manifest(data_manifest: str | Path, dataset_dir: str | Path) -> Manifest:
    """Read a manifest, find its files, and check everything that can be checked before training.

    Args:
        data_manifest: a name ("ixi"), looked up in `data_manifests` beside the package and in the working directory,
            or the path of a JSON file.
        dataset_dir: the folder that the manifest's patterns start from.

    Returns:
        The manifest with its files.

    Raises:
        UsageError: for a name that is not known.
        InputError: one that lists everything that is wrong: keys, subjects in two splits, files that are missing,
            empty, unreadable or outside `dataset_dir`.
    """
    content, path = read_manifest(data_manifest)
    root = Path(dataset_dir)
    _check_dataset_dir(root, content)
    files = _files_by_subject(root, content["patterns"])
    if not files:
        raise InputError(_nothing_found(root, content, path))
    split = _split(content["split"], files)
    items: dict[str, list[dict[str, Any]]] = {name: [] for name in SPLITS}
    problems = _subject_problems(content, split, files)
    owners: dict[Path, str] = {}
    for name in SPLITS:
        for subject in split[name]:
            for found in files.get(subject, []):
                item, wrong = _item(found, root, content)
                problems += wrong
                resolved = found.path.resolve()
                if owners.setdefault(resolved, subject) != subject:
                    problems.append(f"{found.path}: one file for two subjects, {owners[resolved]} and {subject}")
                items[name] += _slabs(item, content["split"], name)
    if not problems and "image_pattern" in content:
        problems = pairing_problems([item for found in items.values() for item in found], root, content)
    if problems:
        raise InputError(listed(f"{path} on {root}", list(dict.fromkeys(problems))))
    return Manifest(
        name=content["name"],
        kind=content["kind"],
        modality=content["modality"],
        licence=content["licence"],
        citation=content["citation"],
        sample=content.get("sample", False),
        digest=manifest_digest(content),
        path=path,
        dataset_dir=root,
        content=content,
        subjects=split,
        _items=items,
    )


def _check_dataset_dir(root: Path, content: dict[str, Any]) -> None:
    advice = content["how_to_get"]
    source = f"{advice['words']} {advice['url']}".strip()
    if not root.exists():
        raise MissingFileError(f"dataset_dir {root}: no such folder. To get {content['name']}: {source}")
    if not root.is_dir():
        raise InputError(f"dataset_dir {root}: a file, where a folder is needed")
    try:
        empty = next(root.iterdir(), None) is None
    except OSError as err:
        raise InputError(f"dataset_dir {root}: cannot be listed ({err.strerror}); check who may read it") from err
    if empty:
        raise InputError(f"dataset_dir {root}: the folder is empty. To get {content['name']}: {source}")


def _files_by_subject(root: Path, patterns: Sequence[str]) -> dict[str, list[FoundFile]]:
    """Collect the files of every subject; of the patterns, the first that finds any of the subject counts."""
    files: dict[str, list[FoundFile]] = {}
    for pattern in patterns:
        fresh: dict[str, list[FoundFile]] = {}
        for found in find_files(root, pattern):
            fresh.setdefault(found.subject, []).append(found)
        for subject, theirs in fresh.items():
            files.setdefault(subject, theirs)
    return dict(sorted(files.items()))


def _nothing_found(root: Path, content: dict[str, Any], path: Path) -> str:
    there = [entry.name for entry in sorted(root.iterdir())[:3]]
    message = (
        f"dataset_dir {root}: no file fits {' or '.join(content['patterns'])} of the manifest {path.name} "
        f"(the folder holds {', '.join(there)}, ...)"
    )
    if content.get("sample", False):
        return (
            f"{message}; this is the manifest of the sample: name the manifest of your own data with --data_manifest, "
            f"one of {', '.join(name for name in known_manifests() if name != content['name'])}, or a .json of yours"
        )
    return (
        f"{message}; check dataset_dir, or change the patterns. How to get the data: {content['how_to_get']['words']}"
    )


def _split(split: dict[str, Any], files: dict[str, list[FoundFile]]) -> dict[str, list[str]]:
    if split["by"] == "list":
        return {name: list(dict.fromkeys(expand_ranges(split[name]))) for name in SPLITS}
    if split["by"] == "fractions":
        return split_by_fractions(list(files), {name: split[name] for name in SPLITS}, split["random_seed"])
    if split["by"] == "field":
        values = {subject: {found.fields[split["field"]] for found in theirs} for subject, theirs in files.items()}
        choice = {name: split[name] for name in SPLITS if name in split}
        return split_by_field(values, choice, split.get("validation_fraction", 0.0), split["random_seed"])
    return {name: list(files) for name in SPLITS}


def _subject_problems(
    content: dict[str, Any], split: dict[str, list[str]], files: dict[str, list[FoundFile]]
) -> list[str]:
    """List what is wrong with the split on these files: subjects missing, in two splits, or too few."""
    rule = content["split"]
    if rule["by"] == "slabs":
        if len(files) > 1:
            return [f"split by slabs is for one subject and there are {len(files)}: {', '.join(list(files)[:5])}"]
        return []
    problems = [
        f"the subject {subject!r} has files in two splits, {' and '.join(names)}; take it out of one"
        for subject, names in subjects_in_two_splits(split).items()
    ]
    problems += [
        f"{subject}: no file of this subject ({name}) fits {' or '.join(content['patterns'])}"
        for name in SPLITS
        for subject in split[name]
        if subject not in files
    ]
    if rule["by"] == "fractions":
        problems += [
            f"split.{name}: no subject is left for it, there are only {len(files)}; add subjects, or split by lists"
            for name in SPLITS
            if rule[name] > 0 and not split[name]
        ]
    return problems


def _item(found: FoundFile, root: Path, content: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Make the dictionary of one file, and list what is wrong with it and with the files that belong to it."""
    item: dict[str, Any] = {"label": str(found.path), "subject": found.subject}
    for key in ("mask", "image"):
        if f"{key}_pattern" in content:
            item[key] = str(root / fill_fields(content[f"{key}_pattern"], found.fields))
    problems = []
    rule = content.get("frame_number")
    if rule is not None and rule["field"] in found.fields:
        number = found.fields[rule["field"]]
        if not number.isdecimal() or int(number) < 1:
            problems.append(f"{found.path}: {number!r} is no frame number; frames are numbered from 1")
        else:
            item["slice"], item["phase"] = divmod(int(number) - 1, rule["phases"])
    for key in ("label", "mask", "image"):
        if key not in item:
            continue
        file = Path(item[key])
        outside = [f for f in _with_contents(file) if not f.resolve().is_relative_to(root.resolve())]
        if outside:
            problems += [
                f"{f}: a link that leads out of dataset_dir, to {f.resolve()}; copy it instead" for f in outside
            ]
            continue
        try:
            check_header(file)
        except InputError as err:
            problems.append(str(err))
    return item, problems


def _with_contents(file: Path) -> list[Path]:
    """Return a file, or a folder and the links in it, which may lead elsewhere."""
    return [file, *(entry for entry in file.iterdir() if entry.is_symlink())] if file.is_dir() else [file]


def _slabs(item: dict[str, Any], split: dict[str, Any], name: str) -> list[dict[str, Any]]:
    if split["by"] != "slabs":
        return [item]
    return [
        {**item, "slab": {"axis": split["axis"], "start": float(start), "stop": float(stop)}}
        for start, stop in split[name]
    ]
