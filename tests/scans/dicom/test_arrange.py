"""Frames in order: no file name and no number matters, and what is missing is named."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dicom_changes import Change, at, set_values, without
from dicom_checks import check_read, check_refused, find_stacks, stack_of
from dicom_files import OBLIQUE, Layout, rotated, write_classic, write_enhanced
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from custom.errors import InputError
from custom.scans import read_scan
from custom.scans.dicom.pixels import read_stack


@settings(max_examples=10)
@given(
    angles=st.tuples(*[st.floats(-3.2, 3.2)] * 3),
    spacing=st.tuples(st.floats(0.3, 3.0), st.floats(0.3, 3.0), st.floats(0.5, 10.0)),
    origin=st.tuples(*[st.floats(-300, 300)] * 3),
)
def test_any_orientation(
    tmp_path_factory: pytest.TempPathFactory,
    angles: tuple[float, float, float],
    spacing: tuple[float, float, float],
    origin: tuple[float, float, float],
) -> None:
    layout = Layout(shape=(3, 4, 3), orientation=rotated(angles), spacing=spacing, origin=origin)
    folder = tmp_path_factory.mktemp("any")
    write_classic(folder, layout)
    check_read(stack_of(folder), layout)
    assert np.linalg.det(stack_of(folder).affine[:3, :3]) > 0


def test_neither_name_nor_number_nor_slice_location_orders_slices(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    order = rng.permutation(5)

    def scramble(data: Dataset, k: int, t: int) -> Dataset:
        data.InstanceNumber = int(order[k]) + 1
        data.SliceLocation = str(float(order[-k]))
        return data

    layout = Layout(shape=(4, 3, 5))
    files = write_classic(tmp_path, layout, change=scramble)
    for k, file in enumerate(files):
        file.rename(tmp_path / f"{order[k]}")
    check_read(stack_of(tmp_path), layout)


def test_gantry_tilt_shears_the_affine(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    layout = Layout(tilt=0.8, orientation=OBLIQUE)
    write_classic(tmp_path, layout)
    check_read(stack_of(tmp_path), layout)
    assert f"lean {np.degrees(np.arctan(0.2)):.3g} degrees" in caplog.text


@pytest.mark.parametrize(
    ("gone", "words"), [({2}, "40 ms apart, but 1 seem"), ({1, 4}, "40 ms apart, but 2 seem"), (set(), "")]
)
def test_a_phase_missing_in_all_slices_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, gone: set[int], words: str
) -> None:
    layout = Layout(frames=7)
    write_classic(tmp_path, layout, change=lambda data, k, t: None if t in gone else data)
    assert read_scan(tmp_path).meta["header"].frames == 7 - len(gone)
    said = [message for message in caplog.messages if "missing" in message]
    assert len(said) == bool(gone)
    assert all(words in message for message in said)


SIX = Layout(shape=(6, 5, 6))
BAD: dict[str, tuple[Layout, Change, str]] = {
    "one slice missing": (
        SIX,
        without((2, 0)),
        r"1 of 6 slices are missing: 1 between IM-003-0005\.dcm \(at 11 mm .*IM-003-0003\.dcm \(at 19 mm",
    ),
    "two gaps": (SIX, without((1, 0), (4, 0)), "2 of 6 slices are missing: 1 between .*; 1 between "),
    "two in a row": (SIX, without((2, 0), (3, 0)), "2 of 6 slices are missing: 2 between "),
    "uneven": (
        SIX,
        at(3, set_values(ImagePositionPatient=[-20.5, 31.25, 20.7])),
        r"not evenly spaced: 2\.3 to 5\.7 mm",
    ),
    "moved aside": (SIX, at(3, set_values(ImagePositionPatient=[-15, 31.25, 19])), "do not lie behind each other"),
    "orientations": (
        SIX,
        at(2, set_values(ImageOrientationPatient=[1, 0, 0, 0, 0, -1])),
        r"2 different orientations: 5 files .*; 1 files \(IM-003-0004\.dcm\)",
    ),
    "sizes": (SIX, at(1, set_values(Rows=6, Columns=5)), r"different sizes: .*1 files \(IM-003-0005\.dcm\)"),
    "spacing differs": (SIX, at(1, set_values(PixelSpacing=[1.5, 0.76])), "IM-003-0005.dcm: PixelSpacing"),
    "beside each other": (
        Layout(frames=2),
        lambda data, k, t: [setattr(data, "ImagePositionPatient", [t * 5, 0, k * 4])] and data,
        "lie in one plane but up to 5 mm apart",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_series_are_refused(tmp_path: Path, case: str) -> None:
    check_refused(tmp_path, *BAD[case])


def test_enhanced_with_a_missing_slice(tmp_path: Path) -> None:
    def fewer(data: Dataset) -> None:
        del data.PerFrameFunctionalGroupsSequence[2]
        data.NumberOfFrames, data.PixelData = 5, data.PixelData[:300]

    path = write_enhanced(tmp_path / "e.dcm", SIX, change=fewer)
    with pytest.raises(InputError, match=r"1 of 6 slices are missing: 1 between e\.dcm frame 3 .* and e\.dcm frame 2 "):
        read_scan(path)


# --- even gaps: lost slices or a sparse scan, which other elements tell


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
def test_slices_whose_numbers_are_missing_too_are_named(
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
def test_other_even_gaps_are_only_logged(
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
