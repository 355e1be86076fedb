"""Splits by subject: lists with ranges, fractions by a random seed, or a field of the path. No subject is in two."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

from custom.errors import InputError

__all__ = ["SPLITS", "expand_ranges", "split_by_field", "split_by_fractions", "subjects_in_two_splits"]

SPLITS = ("train", "validation", "test")

_RANGE = re.compile(r"\[(\d+)-(\d+)\]")


def expand_ranges(entries: Sequence[str]) -> list[str]:
    """Expand "sub-[01-16]" to "sub-01" ... "sub-16", zero padding kept; other entries stay as they are.

    Raises:
        InputError: for a range that runs backwards, or more than one range in an entry.
    """
    subjects: list[str] = []
    for entry in entries:
        ranges = list(_RANGE.finditer(entry))
        if not ranges:
            subjects.append(entry)
            continue
        first, last = ranges[0].groups()
        if len(ranges) > 1 or int(last) < int(first):
            raise InputError(f"{entry!r} is no range; write it like 'sub-[01-16]', once in an entry and running up")
        head, tail = entry[: ranges[0].start()], entry[ranges[0].end() :]
        width = len(first)
        subjects += [f"{head}{number:0{width}d}{tail}" for number in range(int(first), int(last) + 1)]
    return subjects


def split_by_fractions(
    subjects: Sequence[str], fractions: Mapping[str, float], random_seed: int
) -> dict[str, list[str]]:
    """Deal subjects out by fractions, the same way on every machine.

    Subjects are put in the order of sha256("<random_seed>:<subject>") and cut there. Sizes are rounded so that they
    add up (largest remainder), and a fraction above 0 gets at least one subject where there are enough.

    Args:
        subjects: names; their order and repeats do not matter.
        fractions: name of a split to its part of the whole; they add up to 1.
        random_seed: another number gives another order.

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
    """Split by a field of the path, such as a folder "train" or "test"; validation comes out of train.

    Args:
        values: subject to the values that the field takes in its files.
        choice: for "train" and "test" (and "validation", if it has a folder), the values that belong to them.
        validation_fraction: part of the training subjects that go to validation; used where `choice` has none.
        random_seed: for that part.

    Returns:
        For each split its subjects, sorted; a subject that has files in two of them is in both.
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
    """Return the subjects that are in more than one split, with the names of the splits."""
    owners: dict[str, list[str]] = {}
    for name, subjects in split.items():
        for subject in dict.fromkeys(subjects):
            owners.setdefault(subject, []).append(name)
    return {subject: names for subject, names in owners.items() if len(names) > 1}
