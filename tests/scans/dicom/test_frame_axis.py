"""Phases, echoes and repeats of a slice in order, with their times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dicom_changes import Change, without
from dicom_checks import check_read, check_refused, stack_of
from dicom_files import Layout, content, write_classic, write_enhanced
from pydicom.dataset import Dataset

from custom.scans import read_scan
from custom.scans.dicom.pixels import read_stack
from custom.scans.dicom.writer import write_dicom


def test_values_of_frames(tmp_path: Path) -> None:
    """Trigger times differ by slice (0, 0.5, 1 ms later): the mean over slices is given, frames match by rank."""
    layout = Layout(frames=3, shape=(4, 5, 3))
    write_classic(tmp_path / "c", layout)
    write_enhanced(tmp_path / "e.dcm", layout)
    for path in (tmp_path / "c", tmp_path / "e.dcm"):
        scan = read_scan(path)
        assert scan.shape == (3, 4, 5, 3)
        np.testing.assert_array_equal(np.moveaxis(scan.numpy(), 0, -1), content(layout))
        assert (scan.meta["header"].frames, scan.meta["header"].frame_axis) == (3, "time")
        np.testing.assert_allclose(scan.meta["header"].frame_values, [25.5, 65.5, 105.5])
        assert stack_of(path).frames[2][1].value == 66.0


@pytest.mark.parametrize(
    ("axis", "name", "values"),
    [("echo", "echo", [4.6, 13.8]), ("acquisition", "time", [0, 2500]), ("repeat", "frame", [0, 1])],
)
def test_other_axes(tmp_path: Path, axis: str, name: str, values: list[float]) -> None:
    write_classic(tmp_path, Layout(frames=2, axis=axis))
    stack = stack_of(tmp_path)
    assert stack.frame_axis == name
    np.testing.assert_allclose(stack.frame_values, values)


def test_repeats_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    def renumber(data: Dataset, k: int, t: int) -> Dataset:
        data.InstanceNumber = 1 + k + 4 * t
        return data

    layout = Layout(frames=2, axis="repeat")
    write_classic(tmp_path, layout, change=renumber)
    check_read(stack_of(tmp_path), layout)


BAD: dict[str, tuple[Layout, Change, str]] = {
    "phase missing": (
        Layout(shape=(6, 5, 4), frames=3),
        without((2, 1)),
        r"up to 3, but slice 3 \(IM-003-0006\.dcm\) has 2, none near trigger time 65",
    ),
    "slice twice": (
        Layout(shape=(6, 5, 4), frames=2, axis="repeat"),
        without((0, 1), (1, 1), (3, 1)),
        r"different numbers of frames: up to 2, but slice 1 \(IM-003-0008\.dcm\) has 1",
    ),
    "nothing tells apart": (
        Layout(frames=2, axis="repeat"),
        lambda data, k, t: (
            [setattr(data, "InstanceNumber", 1), setattr(data, "SOPInstanceUID", f"1.2.{k}.{t}")] and data
        ),
        "2 images lie at one place .* nothing tells them apart",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_series_are_refused(tmp_path: Path, case: str) -> None:
    check_refused(tmp_path, *BAD[case])


# --- temporal positions, and how far they are apart

LAYOUT = Layout(frames=3, axis="none")


def _numbered(resolution: Callable[[int, int], str | None], **more: str) -> Callable[[Dataset, int, int], Dataset]:
    """Number the frames against InstanceNumber, which counts down."""

    def change(image: Dataset, k: int, t: int) -> Dataset:
        image.TemporalPositionIdentifier = t + 1
        value = resolution(k, t)
        if value is not None:
            image.TemporalResolution = value
        for keyword, word in more.items():
            setattr(image, keyword, word)
        return image

    return change


def test_positions_with_a_distance_are_times(tmp_path: Path) -> None:
    write_classic(tmp_path / "in", LAYOUT, change=_numbered(lambda k, t: "2500.5"))
    stack = stack_of(tmp_path / "in")
    assert (stack.frame_axis, stack.frame_values) == ("time", (0.0, 2500.5, 5001.0))
    np.testing.assert_array_equal(read_stack(stack).array, content(LAYOUT))
    result = stack_of(write_dicom(content(LAYOUT), stack.affine, stack, tmp_path / "out"))
    assert (result.frame_axis, result.frame_values) == ("time", (0.0, 2500.5, 5001.0))


@pytest.mark.parametrize(
    ("resolution", "more"),
    [
        (lambda k, t: "0", {}),
        (lambda k, t: "-3", {}),
        (lambda k, t: str(100 + t), {}),
        (lambda k, t: None if (k, t) == (1, 1) else "100", {}),
        (lambda k, t: "37500", {"Manufacturer": "GE MEDICAL SYSTEMS"}),
    ],
    ids=["zero", "negative", "different ones", "once not given", "microseconds"],
)
def test_positions_without_a_distance_are_not_times(
    tmp_path: Path, resolution: Callable[[int, int], str | None], more: dict[str, str]
) -> None:
    write_classic(tmp_path, LAYOUT, change=_numbered(resolution, **more))
    stack = stack_of(tmp_path)
    assert (stack.frame_axis, stack.frame_values) == ("frame", (0.0, 1.0, 2.0))


def test_positions_that_begin_at_0_give_no_negative_time(tmp_path: Path) -> None:
    def change(image: Dataset, k: int, t: int) -> Dataset:
        image = _numbered(lambda k, t: "100")(image, k, t)
        image.TemporalPositionIdentifier = t
        return image

    write_classic(tmp_path, LAYOUT, change=change)
    assert stack_of(tmp_path).frame_values == (0.0, 100.0, 200.0)


def test_true_times_count_more(tmp_path: Path) -> None:
    write_classic(tmp_path / "triggers", Layout(frames=3), change=_numbered(lambda k, t: "2500"))
    assert stack_of(tmp_path / "triggers").frame_values == pytest.approx((25.75, 65.75, 105.75))
    write_classic(tmp_path / "clock", Layout(frames=3, axis="acquisition"), change=_numbered(lambda k, t: "9"))
    assert stack_of(tmp_path / "clock").frame_values == pytest.approx((0, 2500, 5000))
