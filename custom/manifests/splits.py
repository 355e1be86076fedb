"""Splits by subject: by lists with ranges, by fractions and a random seed, or by a field of the path."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

from custom.errors import InputError

__all__ = ["SPLITS", "expand_ranges", "split_by_field", "split_by_fractions", "subjects_in_two_splits"]

SPLITS = ("train", "validation", "test")

# A range may be mistyped: [1-1000000000] would fill the memory.
_MOST_SUBJECTS, _MOST_DIGITS = 100_000, 18
_RANGE = re.compile(r"\[(\d+)-(\d+)\]")


def expand_ranges(entries: Sequence[str]) -> list[str]:
    """Expand "sub-[01-16]" to "sub-01" ... "sub-16" and keep the zeros; other entries stay as they are.

    Raises:
        InputError: if a range runs backwards, an entry has two ranges, or the ranges name over 100,000 subjects.
    """
    subjects: list[str] = []
    for entry in entries:
        found = _RANGE.search(entry)
        if found is None:
            subjects.append(entry)
            continue
        first, last = found.groups()
        head, tail = entry[: found.start()], entry[found.end() :]
        is_long = max(len(first), len(last)) > _MOST_DIGITS
        if not is_long and (int(last) < int(first) or _RANGE.search(tail)):
            raise InputError(
                f"{entry!r} is not a range; write it like 'sub-[01-16]', the lower number first, and one in an entry"
            )
        if is_long or len(subjects) + int(last) - int(first) >= _MOST_SUBJECTS:
            raise InputError(
                f"{entry[:80]!r} names too many subjects, a split has at most {_MOST_SUBJECTS:,}; "
                "write only those that the data set has"
            )
        subjects += [f"{head}{number:0{len(first)}d}{tail}" for number in range(int(first), int(last) + 1)]
    return subjects


def split_by_fractions(
    subjects: Sequence[str], fractions: Mapping[str, float], random_seed: int
) -> dict[str, list[str]]:
    """Divide subjects among splits by fractions; the result is the same on every machine.

    Subjects are sorted by sha256("<random_seed>:<subject>"), and this list is cut. The sizes are rounded by largest
    remainder, so that they add up. A fraction above 0 gets at least one subject if there are enough subjects.

    Args:
        subjects: their names, in any order; a name that comes twice counts once.
        fractions: for each split its part of the subjects, 0 to 1; the parts add up to 1.
        random_seed: a whole number; another number gives another order.

    Returns:
        For each split its subjects, sorted.
    """
    order = sorted(set(subjects), key=lambda subject: hashlib.sha256(f"{random_seed}:{subject}".encode()).hexdigest())
    total = len(order)
    counts = {name: int(fraction * total) for name, fraction in fractions.items()}
    by_remainder = sorted(fractions, key=lambda name: fractions[name] * total - counts[name], reverse=True)
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    wanted = [name for name, fraction in fractions.items() if fraction > 0]
    if total >= len(wanted):
        for name in wanted:
            if counts[name] == 0:
                counts[max(counts, key=lambda other: counts[other])] -= 1
                counts[name] = 1
    result: dict[str, list[str]] = {}
    start = 0
    for name, count in counts.items():
        result[name] = sorted(order[start : start + count])
        start += count
    return result


def split_by_field(
    values: Mapping[str, set[str]], choice: Mapping[str, Sequence[str]], validation_fraction: float, random_seed: int
) -> dict[str, list[str]]:
    """Split by a field of the path, such as the name of a folder, "train" or "test".

    Args:
        values: for each subject the values of the field in its files.
        choice: for "train", "test" and perhaps "validation", the values of the field that belong to the split.
        validation_fraction: the part of the training subjects, 0 to 1, that goes to validation. It is used only if
            `choice` has no "validation".
        random_seed: chooses these subjects.

    Returns:
        For each split its subjects, sorted. A subject with files in two splits is in both.
    """
    chosen = {
        name: sorted(subject for subject, found in values.items() if found & set(wanted))
        for name, wanted in choice.items()
    }
    if "validation" not in chosen:
        parts = {"train": 1.0 - validation_fraction, "validation": validation_fraction}
        chosen.update(split_by_fractions(chosen["train"], parts, random_seed))
    return {name: chosen[name] for name in SPLITS}


def subjects_in_two_splits(split: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the subjects that are in more than one split, each with the names of its splits."""
    owners: dict[str, list[str]] = {}
    for name, subjects in split.items():
        for subject in dict.fromkeys(subjects):
            owners.setdefault(subject, []).append(name)
    return {subject: names for subject, names in owners.items() if len(names) > 1}
