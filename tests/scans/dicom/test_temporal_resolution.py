"""Times of dynamic series that say only which position each image has, and how far positions are apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dicom_checks import stack_of
from dicom_files import Layout, content, write_classic, write_enhanced
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from custom.scans.dicom.pixels import read_stack
from custom.scans.dicom.writer import write_dicom

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


def test_positions_times_their_distance_are_times(tmp_path: Path) -> None:
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
    ids=["none", "negative", "of two minds", "once not given", "microseconds"],
)
def test_what_is_no_distance_gives_no_times(
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


@pytest.mark.parametrize("where", ["header", "shared", "each frame"])
def test_multi_frame_files_may_have_it_too(tmp_path: Path, where: str) -> None:
    def change(image: Dataset) -> None:
        for group in image.PerFrameFunctionalGroupsSequence:
            content_item = group.FrameContentSequence[0]
            content_item.TemporalPositionIndex = content_item.DimensionIndexValues[1]
        holder = Dataset()
        holder.TemporalResolution = "80"
        if where == "header":
            image.TemporalResolution = "80"
        elif where == "shared":
            image.SharedFunctionalGroupsSequence[0].UnassignedSharedConvertedAttributesSequence = Items([holder])
        else:
            for group in image.PerFrameFunctionalGroupsSequence:
                group.UnassignedPerFrameConvertedAttributesSequence = Items([holder])

    stack = stack_of(write_enhanced(tmp_path / "x.dcm", LAYOUT, change=change))
    assert (stack.frame_axis, stack.frame_values) == ("time", (0.0, 80.0, 160.0))
