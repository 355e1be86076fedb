"""Data manifests: what a data set is, where its files are, and which subject is in which split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from custom.errors import InputError, MissingFileError, UsageError
from custom.manifests.patterns import FoundFile, fill_fields, find_files
from custom.manifests.schema import known_manifests, manifest_digest, manifest_folder, problem_list, read_manifest
from custom.manifests.splits import SPLITS, expand_ranges, split_by_field, split_by_fractions, subjects_in_two_splits
from custom.manifests.synthetic_cine import sample_scans
from custom.scans import ScanReference, check_header, find_scan
from custom.scans.dicom.search import DicomSearch

__all__ = ["Manifest", "load_manifest", "sample_folder"]


@dataclass(frozen=True)
class Manifest:
    """A data set whose files were found and checked.

    Attributes:
        name: the name that the manifest gives itself.
        digest: the sha256 (hexadecimal) of the manifest as canonical JSON.
        path: the manifest's own file.
        content: the manifest as read; `data_manifests/schema.json` explains its keys.
        subjects: the subjects of each split.
    """

    name: str
    digest: str
    path: Path
    content: dict[str, Any]
    subjects: dict[str, list[str]]
    _items: dict[str, list[dict[str, Any]]] = field(repr=False)

    def items(self, split: str, required: bool = True) -> list[dict[str, Any]]:
        """Return the files of a split, sorted by subject.

        Args:
            split: "train", "validation" or "test".
            required: False allows a split without subjects.

        Returns:
            A dictionary for each file; where the split is by slabs, one for each slab. It holds "label" (the path of
            the file; for a pattern that ends in "/", of the folder of one DICOM stack) and "subject". It holds "mask"
            (path) if the manifest has `mask_pattern`, "dataset" (of an HDF5 file) if it has `dataset`, "slice" and
            "phase" (numbers from 0) if it has `frame_number`, and "slab" ({"axis", "start", "stop"}, fractions of the
            array axis) if the split is by slabs.

        Raises:
            UsageError: if `split` is not the name of a split.
            InputError: if the manifest gives a required split no subject.
        """
        if split not in SPLITS:
            raise UsageError(f"no split is named {split!r}; known are {', '.join(SPLITS)}")
        if required and not self._items[split]:
            raise InputError(f"{self.path}: the split {split!r} is empty; give it subjects under split.{split}")
        return [dict(item) for item in self._items[split]]


def sample_folder() -> Path:
    """Return the folder of the sample scans that come with this package."""
    return manifest_folder() / "sample"


def load_manifest(data_manifest: str | Path, dataset_dir: str | Path) -> Manifest:
    """Read a manifest, find its files, and check everything that can be checked before training.

    Args:
        data_manifest: a name such as "ixi", which is looked up in the folders `data_manifests` beside the package and
            in the working directory; or the path of a JSON file.
        dataset_dir: the folder that the manifest's patterns start from.

    Returns:
        The manifest with its files.

    Raises:
        UsageError: if no manifest has this name.
        InputError: if the manifest or its files cannot be used. One message lists all that is wrong: keys, subjects in
            two splits, and files that are missing, empty, unreadable, outside `dataset_dir`, no ordinary files, or
            the same for two subjects.
    """
    content, path = read_manifest(data_manifest)
    root = Path(sample_scans(dataset_dir))
    _check_dataset_dir(root, content)
    files = _files_by_subject(root, content["patterns"])
    if not files:
        raise InputError(_nothing_found(root, content, path))
    split = _split(content["split"], files)
    items: dict[str, list[dict[str, Any]]] = {name: [] for name in SPLITS}
    problems = _subject_problems(content, split, files)
    owners: dict[tuple[int, int], FoundFile] = {}
    search = DicomSearch()
    for name in SPLITS:
        for subject in split[name]:
            for found in files.get(subject, []):
                item, wrong = _item(found, root, content, owners, search)
                problems += wrong
                items[name] += _slabs(item, content["split"], name)
    if problems:
        raise InputError(problem_list(f"{path} on {root}", list(dict.fromkeys(problems))))
    return Manifest(
        name=content["name"],
        digest=manifest_digest(content),
        path=path,
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
        raise InputError(f"dataset_dir {root}: this is not a folder; give the folder that holds the data")
    try:
        empty = next(root.iterdir(), None) is None
    except OSError as err:
        raise InputError(f"dataset_dir {root}: cannot be listed ({err.strerror}); check who may read it") from err
    if empty:
        raise InputError(f"dataset_dir {root}: the folder is empty. To get {content['name']}: {source}")


def _files_by_subject(root: Path, patterns: Sequence[str]) -> dict[str, list[FoundFile]]:
    """Collect the files of every subject. For each subject only the first pattern that finds a file counts."""
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
    """List the subjects that have no file or are in two splits, and the splits that have too few subjects."""
    rule = content["split"]
    if rule["by"] == "slabs":
        if len(files) > 1:
            return [f"a split by slabs needs one subject, but there are {len(files)}: {', '.join(list(files)[:5])}"]
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
            f"split.{name}: no subject is left, there are only {len(files)}; add subjects, or split by lists"
            for name in SPLITS
            if rule[name] > 0 and not split[name]
        ]
    return problems


def _item(
    found: FoundFile,
    root: Path,
    content: dict[str, Any],
    owners: dict[tuple[int, int], FoundFile],
    search: DicomSearch,
) -> tuple[dict[str, Any], list[str]]:
    """Make the dictionary of one file, and list what is wrong with the file and its mask."""
    item: dict[str, Any] = {"label": str(found.path), "subject": found.subject}
    problems = _scan_problems(found, root, owners, search, content.get("dataset"))
    if "dataset" in content:
        item["dataset"] = content["dataset"]
    if "mask_pattern" in content:
        mask = root / fill_fields(content["mask_pattern"], found.fields)
        item["mask"] = str(mask)
        problems += _unusable_files(mask, root) or _scan_and_problems(mask, search)[1]
    rule = content.get("frame_number")
    if rule is not None and rule["field"] in found.fields:
        number = found.fields[rule["field"]]
        if not number.isdecimal() or int(number) < 1:
            problems.append(f"{found.path}: {number!r} is not a frame number; frames are numbered from 1")
        else:
            item["slice"], item["phase"] = divmod(int(number) - 1, rule["phases"])
    return item, problems


def _scan_problems(
    found: FoundFile,
    root: Path,
    owners: dict[tuple[int, int], FoundFile],
    search: DicomSearch,
    dataset: str | None,
) -> list[str]:
    """List what is wrong with a scan: files that cannot be used, and files that are read for another scan already.

    Args:
        found: the file, or the folder of a DICOM stack. A file of a DICOM series stands for the whole series.
        root: the folder of the data.
        owners: for each file so far, by device and inode, the scan it is read for; the files of this one are added.
        search: that has looked into the folders so far.
        dataset: of HDF5 files.
    """
    problems = _unusable_files(found.path, root)
    if problems:
        return problems
    if found.path.is_file() and _inode(found.path) in owners:
        files: Sequence[Path] = [found.path]
    else:
        scan, problems = _scan_and_problems(found.path, search, dataset)
        files = () if scan is None else scan.stack.files if scan.stack else [scan.path]
    for file in files:
        owner = owners.setdefault(_inode(file), found)
        if owner is not found:
            problems.append(
                f"{file}: is read twice, for {owner.subject} as {owner.path} and for {found.subject}; leave it to one "
                "(the pattern of a DICOM series names its folder and ends in /)"
            )
    return problems


def _scan_and_problems(
    place: Path, search: DicomSearch, dataset: str | None = None
) -> tuple[ScanReference | None, list[str]]:
    """Find the scan of a file or folder, and check its header."""
    try:
        scan = find_scan(place, search, dataset)
        check_header(scan)
    except InputError as err:
        return None, [str(err)]
    return scan, []


def _inode(file: Path) -> tuple[int, int]:
    """Return what two names (links) of one file share."""
    status = file.stat()
    return status.st_dev, status.st_ino


def _unusable_files(place: Path, root: Path) -> list[str]:
    """List what must not be opened at a file, or in a folder: links that lead out of the data, pipes and devices."""
    problems = []
    for file in [place, *(place.rglob("*") if place.is_dir() else ())]:
        if not file.exists():
            continue  # reading the header says what is missing
        if not file.resolve().is_relative_to(root.resolve()):
            problems.append(f"{file}: a link that leads out of dataset_dir, to {file.resolve()}; copy it instead")
        elif not file.is_file() and not file.is_dir():
            problems.append(f"{file}: a pipe, a socket or a device, where a file is needed; remove it")
    return problems


def _slabs(item: dict[str, Any], split: dict[str, Any], name: str) -> list[dict[str, Any]]:
    if split["by"] != "slabs":
        return [item]
    return [
        {**item, "slab": {"axis": split["axis"], "start": float(start), "stop": float(stop)}}
        for start, stop in split[name]
    ]
