"""Exports that lost the same number of slices between each two: told from sparse scans by what else the headers say."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from dicom_checks import find_stacks, stack_of
from dicom_files import Layout, write_classic
from pydicom.dataset import Dataset

from custom.errors import InputError
from custom.scans.dicom.pixels import read_stack

SLICES = 7
Number = Callable[[int, int], int]


def _every(multiple: int, number: Number, stated: float | None = None) -> Callable[[Dataset, int, int], Dataset | None]:
    def change(image: Dataset, k: int, t: int) -> Dataset | None:
        image.InstanceNumber = number(k, t)
        if stated is not None:
            image.SpacingBetweenSlices = stated
        return None if k % multiple else image

    return change


@pytest.mark.parametrize(
    ("multiple", "frames", "number", "words"),
    [
        (
            2,
            1,
            lambda k, t: 1 + k,
            "3 of 7 slices are missing: .* 8 mm apart .* says 4, and there is no InstanceNumber 2, 4, 6; export",
        ),
        (2, 1, lambda k, t: 9 - k, "3 of 7 slices are missing: .* no InstanceNumber 4, 6, 8; export"),
        (3, 1, lambda k, t: 1 + k, "4 of 7 slices are missing: .* no InstanceNumber 2, 3, 5, 6; export"),
        (2, 2, lambda k, t: 1 + 2 * k + t, "no InstanceNumber 3, 4, 7, 8, 11, 12; export"),
        (2, 2, lambda k, t: 1 + k + SLICES * t, "no InstanceNumber 2, 4, 6, 9, 11, 13; export"),
        (3, 3, lambda k, t: 1 + 3 * k + t, r"no InstanceNumber 4, 5, 6, 7, 8, 9, 13, 14, \.\.\.; export"),
    ],
    ids=["up", "down", "two of three", "slice by slice", "phase by phase", "many"],
)
def test_numbers_that_lack_them_too_prove_it(
    tmp_path: Path, multiple: int, frames: int, number: Number, words: str
) -> None:
    write_classic(tmp_path, Layout(shape=(3, 3, SLICES), frames=frames), change=_every(multiple, number))
    with pytest.raises(InputError, match=words):
        stack_of(tmp_path)


@pytest.mark.parametrize(
    ("multiple", "frames", "number", "stated"),
    [
        (2, 1, lambda k, t: 1 + k // 2, None),  # numbered after they were left out
        (2, 1, lambda k, t: 1 + 3 * k, None),  # in steps that do not fit
        (2, 1, lambda k, t: [1, 0, 4, 0, 5, 0, 7][k], None),  # out of order
        (1, 1, lambda k, t: 1 + k, 2.0),  # SpacingBetweenSlices misused, nothing gone
        (1, 2, lambda k, t: 1 + 2 * k + t, 2.0),  # likewise; a slice's second frame is no missing one
        (1, 2, lambda k, t: 1 + k + SLICES * t, 2.0),
    ],
    ids=["renumbered", "other steps", "no order", "misused", "misused, slice by slice", "misused, phase by phase"],
)
def test_without_that_it_is_only_said(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    multiple: int,
    frames: int,
    number: Number,
    stated: float | None,
) -> None:
    layout = Layout(shape=(3, 3, SLICES), frames=frames)
    write_classic(tmp_path, layout, change=_every(multiple, number, stated))
    with caplog.at_level(logging.WARNING):
        array = read_stack(stack_of(tmp_path)).array
    assert array.shape[2] == (SLICES + multiple - 1) // multiple
    assert caplog.text.count("slices may be missing") == 1


def test_numbers_that_another_kind_of_image_has_are_not_missing(tmp_path: Path) -> None:
    """Magnitude and phase by turns, and a SpacingBetweenSlices that is half of the spacing."""

    def by_turns(first: int) -> Callable[[Dataset, int, int], Dataset]:
        def change(image: Dataset, k: int, t: int) -> Dataset:
            image.InstanceNumber = 1 + 2 * k + first
            image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"1.2.{image.InstanceNumber}"
            image.SeriesInstanceUID = "1.2.3"
            image.SpacingBetweenSlices = 2
            return image

        return change

    for first, kind in enumerate("MP"):
        write_classic(tmp_path, Layout(), first, image_type=("ORIGINAL", "PRIMARY", kind), change=by_turns(first))
    assert [len(stack.frames) for stack in find_stacks(tmp_path)] == [4, 4]
    for file in tmp_path.glob("IM-001*"):
        file.unlink()
    with pytest.raises(InputError, match="no InstanceNumber 2, 4, 6"):
        stack_of(tmp_path)
