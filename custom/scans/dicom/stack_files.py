"""The DICOM files of one folder, grouped by series and kind of image."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from custom.errors import InputError
from custom.scans.dicom.acquisitions import acquisitions
from custom.scans.dicom.arrange import arrange
from custom.scans.dicom.fields import shown
from custom.scans.dicom.files import is_dicom
from custom.scans.dicom.frame import DicomStack
from custom.scans.dicom.headers import ImageFile, read_header
from custom.scans.dicom.kinds import image_kind
from custom.scans.folders import entries_in

__all__ = ["FolderContent", "StackFiles", "file_stem", "grouped", "identity", "is_named_dicom", "look_into"]

logger = logging.getLogger(__name__)

# Files with these endings are DICOM; one whose content is not may be a slice that was damaged.
_DICOM_SUFFIXES = (".dcm", ".ima", ".dcm.gz", ".ima.gz")
# As many bytes come before the first element of a DICOM file.
_PREAMBLE = 132


@dataclass(frozen=True)
class StackFiles:
    """The files that make up one stack, not yet put in order.

    Attributes:
        files: sorted by name.
        name: of the scan in its folder, without the ending of the format: the name of the folder of a classic stack
            (with the series number where the folder holds several), the name of a multi-frame file.
        problem: why they cannot be read, a whole message; else "".
        beside: what is wrong with a file beside them that does not say to which series it belongs, a whole message: it
            may be one of them; else "".
        numbers: InstanceNumbers of all images of the series, other kinds of image included.
        above: where the files lie in several folders, the folder above these.
    """

    files: tuple[ImageFile, ...]
    name: str
    problem: str = ""
    beside: str = ""
    numbers: frozenset[float] = frozenset()
    above: Path | None = None

    @property
    def folder(self) -> Path:
        """The folder that holds the files, or their folders."""
        return self.above or self.path.parent

    @property
    def path(self) -> Path:
        """The first file by name."""
        return self.files[0].path

    def is_series(self, series: str) -> bool:
        """Say whether this is the series of a SeriesInstanceUID or SeriesNumber."""
        return series in (self.files[0].series_uid, self.files[0].series_number)

    def is_described(self, series: str) -> bool:
        """Say whether a text is part of the SeriesDescription."""
        return bool(series) and series.lower() in self.files[0].series_description.lower()

    def arranged(self, named: bool = False) -> DicomStack:
        """Put the frames in order.

        Args:
            named: whether one of the files was named, so that what lies beside them matters only where a slice is
                missing.

        Raises:
            InputError: with the problem; for frames that do not make one evenly spaced stack.
        """
        if self.problem or (self.beside and not named):
            raise InputError(self.problem or self.beside)
        try:
            return arrange(self.files, self.numbers)
        except InputError as err:
            raise InputError(self.beside or str(err)) from err

    def __str__(self) -> str:
        first = self.files[0]
        words = f"{self.folder.name}: series {first.series_number or first.series_uid or '?'}"
        description = f" '{shown(first.series_description)}'" if first.series_description else ""
        kind = image_kind(first.frames[0]) if first.frames else ""
        return f"{words}{description}{f' ({kind})' if kind else ''}, {len(self.files)} files"


def is_named_dicom(path: Path) -> bool:
    """Say whether a name ends as DICOM does (.dcm, .ima, also in gzip); many DICOM files have no ending at all."""
    return path.name.lower().endswith(_DICOM_SUFFIXES)


@dataclass(frozen=True)
class FolderContent:
    """What a folder holds.

    Attributes:
        stacks: the DICOM stacks, readable or not.
        headers: of all DICOM files, also of those that are no part of a stack.
        others: the files that are not DICOM.
    """

    stacks: list[StackFiles]
    headers: Mapping[Path, ImageFile]
    others: list[Path]

    @cached_property
    def by_identity(self) -> Mapping[object, StackFiles]:
        """The stack of each image, by the `identity` of the image."""
        return {identity(image): stack for stack in self.stacks for image in stack.files}


def look_into(folder: Path, known: Sequence[ImageFile] = ()) -> FolderContent:
    """Read the headers of all DICOM files of a folder, without the folders in it, and log which are no images of MR.

    Args:
        folder: hidden files in it are left out.
        known: headers that were read already.

    Raises:
        InputError: where the folder cannot be listed.
    """
    headers: dict[Path, ImageFile] = {}
    others = []
    already = {header.path: header for header in known}
    for entry in entries_in(folder):
        if not entry.is_file():
            continue
        if entry in already or is_named_dicom(entry) or is_dicom(entry):
            headers[entry] = already.get(entry) or read_header(entry)
        else:
            others.append(entry)
    images = [header for header in headers.values() if not header.skipped]
    skipped = Counter(header.skipped for header in headers.values() if header.skipped)
    short = [entry.name for entry in others if not entry.suffix and _is_short(entry)] if images else []
    if short:
        logger.warning(
            "%s: too short to be DICOM, or cannot be opened, and therefore not read: %s",
            folder,
            ", ".join(short[:5]) + (", ..." if len(short) > 5 else ""),
        )
    images, copies = _without_copies(images)
    if copies:
        skipped["a copy of another file"] += copies
    if skipped:
        logger.info("%s: skipped %s", folder, ", ".join(f"{why} ({count})" for why, count in skipped.items()))
    return FolderContent(_with_names(folder, grouped(images)), headers, others)


def _is_short(file: Path) -> bool:
    """Say whether a file is too short for DICOM, or cannot be opened."""
    try:
        with file.open("rb") as stream:
            return len(stream.read(_PREAMBLE)) < _PREAMBLE
    except OSError:
        return True


def _without_copies(images: list[ImageFile]) -> tuple[list[ImageFile], int]:
    """Leave out copies of files: those of equal `identity`. Return the others, and how many copies there are."""
    kept: dict[object, ImageFile] = {}
    for image in images:
        kept.setdefault(identity(image), image)
    return list(kept.values()), len(images) - len(kept)


def identity(image: ImageFile) -> object:
    """Return a key that only files of the same image share: SOPInstanceUID and the header as far as it is read.

    The UID is not enough: some anonymised images all have the same.
    """
    if not image.sop_uid or not image.frames:
        return image.path
    first = image.frames[0]
    labels = tuple(first.labels.items())
    scaling = first.image_type, first.slope, first.intercept, image.rows, image.columns
    acquisition = image.series, image.sequence, image.timing
    return image.sop_uid, acquisition, len(image.frames), first.position, labels, scaling


def grouped(images: Sequence[ImageFile]) -> list[tuple[list[ImageFile], str, str]]:
    """Group files by stack; each group comes with `problem` and `beside` of `StackFiles`, "" where there is none."""
    groups = acquisitions(images)
    named = {group[0].series_uid for group in groups if not group[0].multiframe}
    problems: dict[str, str] = {}
    beside = ""
    alone = []
    # A broken file may be a slice of its series, or of any series if it does not name one: these cannot be read either.
    for image in images:
        if image.problem and not image.multiframe:
            if image.series_uid in named and image.series_uid:
                problems.setdefault(image.series_uid, image.problem)
            elif named and not image.series_uid:
                beside = beside or image.problem
            else:
                alone.append(([image], image.problem, ""))
    return [
        (group, group[0].problem, "") if group[0].multiframe else (group, problems.get(group[0].series_uid, ""), beside)
        for group in groups
    ] + alone


def _with_names(folder: Path, groups: list[tuple[list[ImageFile], str, str]]) -> list[StackFiles]:
    """Make the stacks of a folder, each with a name of its own."""
    name = folder.resolve().name
    single = sum(not group[0].multiframe for group, *_ in groups) == 1
    names = []
    order = 0
    numbers: dict[object, set[float]] = {}
    for group, *_ in groups:
        first = group[0]
        held = (frame.labels.get("instance_number") for image in group for frame in image.frames[:1])
        numbers.setdefault(_numbered_with(first), set()).update(number for number in held if number is not None)
        if first.multiframe:
            names.append(file_stem(first.path))
            continue
        order += 1
        names.append(name if single else f"{name}_{_file_name_part(first.series_number) or order}")
    twice = {name for name, count in Counter(names).items() if count > 1}
    seen: Counter[str] = Counter()
    for i, (group, *_) in enumerate(groups):
        if names[i] in twice:
            kind = image_kind(group[0].frames[0]) if group[0].frames else ""
            seen[names[i]] += 1
            names[i] = f"{names[i]}_{kind}{seen[names[i]]}"
    return [
        StackFiles(tuple(group), name, problem, beside, frozenset(numbers[_numbered_with(group[0])]))
        for (group, problem, beside), name in zip(groups, names, strict=True)
    ]


def _numbered_with(image: ImageFile) -> object:
    """Return a key of the images that an image shares InstanceNumbers with: other kinds of image may come between."""
    return image.series_uid or image.series


def _file_name_part(number: str) -> str:
    """Return a series number if it is an integer, else "": it becomes part of a file name."""
    return number if number.lstrip("-").isascii() and number.lstrip("-").isdigit() else ""


def file_stem(path: Path) -> str:
    """Return the name of a file without the endings of DICOM; other dots are part of the name."""
    name = path.name
    for suffix in sorted(_DICOM_SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name
