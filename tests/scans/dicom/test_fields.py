"""Elements of headers, and the frames that they describe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_changes import Change, at, drop, raw, set_values
from dicom_checks import check_read, check_refused, stack_of
from dicom_files import Layout, write_classic, write_enhanced
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from custom.errors import InputError
from custom.scans import read_scan
from custom.scans.dicom.pixels import read_stack

SIX = Layout(shape=(6, 5, 6))
BAD: dict[str, tuple[Layout, Change, str]] = {
    "skewed axes": (SIX, at(1, set_values(ImageOrientationPatient=[1, 0, 0, 1, 0, 0])), "not a pair of perpendicular"),
    "no spacing": (SIX, at(1, drop("PixelSpacing")), "IM-003-0005.dcm: PixelSpacing is not given"),
    "no position": (SIX, at(1, drop("ImagePositionPatient")), "ImagePositionPatient is not given"),
    "no orientation": (SIX, at(1, drop("ImageOrientationPatient")), "ImageOrientationPatient is not given"),
    "two numbers": (SIX, at(1, set_values(ImagePositionPatient=[1, 2])), "3 finite numbers are needed"),
    "spacing of 0": (SIX, at(1, set_values(PixelSpacing=[0, 1])), "PixelSpacing is"),
    **{
        f"{keyword} {value!r}": (
            SIX,
            at(1, raw(keyword, value)),
            rf"IM-003-0005\.dcm: {keyword} is .* one finite number",
        )
        for keyword in ("RescaleSlope", "RescaleIntercept", "SliceThickness", "SpacingBetweenSlices")
        for value in (b"1,5 ", b"abc ", b"nan ", b"inf ", b"1e400 ", b"1\\2 ", b"1_0 ")
    },
    "slope of 0": (SIX, at(1, set_values(RescaleSlope=0)), "RescaleSlope is 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_series_are_refused(tmp_path: Path, case: str) -> None:
    check_refused(tmp_path, *BAD[case])


@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
def test_a_rescale_of_one_frame_that_cannot_be_read_is_refused(tmp_path: Path, keyword: str) -> None:
    def change(data: Dataset) -> None:
        raw(keyword, b"1,5 ")(data.PerFrameFunctionalGroupsSequence[2].PixelValueTransformationSequence[0])

    path = write_enhanced(tmp_path / "e.dcm", change=change)
    with pytest.raises(InputError, match=rf"{keyword} is \['1,5'\]; one finite number is needed"):
        read_scan(path)


def test_an_empty_rescale_is_none(tmp_path: Path) -> None:
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        write_classic(tmp_path / keyword, change=lambda data, *_, keyword=keyword: raw(keyword, b"")(data) or data)
        check_read(stack_of(tmp_path / keyword), Layout())


def test_enhanced_without_groups_for_each_frame(tmp_path: Path) -> None:
    def fewer(data: Dataset) -> None:
        data.PerFrameFunctionalGroupsSequence.pop()

    path = write_enhanced(tmp_path / "e.dcm", change=fewer)
    with pytest.raises(InputError, match="4 frames and 3 functional groups"):
        read_scan(path)


def test_frames_over_time_without_functional_groups(tmp_path: Path) -> None:
    """One place, FrameTime apart: a cine of one slice. Without FrameTime nobody knows what the frames are."""
    layout = Layout(shape=(4, 5, 1))
    planes = np.arange(60, dtype="<u2").reshape(3, 5, 4)

    def frames(data: Dataset, k: int, t: int) -> Dataset:
        data.NumberOfFrames, data.FrameTime, data.PixelData = 3, "69.47", planes.tobytes()
        data.FrameIncrementPointer = 0x00181063
        return data

    stack = stack_of(write_classic(tmp_path / "a", layout, change=frames)[0])
    assert stack.frame_axis == "time"
    np.testing.assert_allclose(stack.frame_values, [0, 69.47, 138.94])
    np.testing.assert_array_equal(read_stack(stack).array[:, :, 0].transpose(2, 1, 0), planes)

    def unknown(data: Dataset, k: int, t: int) -> Dataset:
        data.NumberOfFrames, data.PixelData = 3, planes.tobytes()
        return data

    with pytest.raises(InputError, match="tell slices from times"):
        stack_of(write_classic(tmp_path / "b", layout, change=unknown)[0])


LAYOUT = Layout(frames=3, axis="none")


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


def test_a_damaged_length_is_not_printed_with_all_that_it_swallowed(tmp_path: Path) -> None:
    files = write_classic(tmp_path, SIX)
    for keyword in (b"\x02\x00\x10\x00UI", b"\x08\x00\x16\x00UI", b"\x28\x00\x04\x00CS"):
        content = bytearray(files[2].read_bytes())
        at = content.index(keyword) + len(keyword)
        content[at : at + 2] = b"\x00\x03"
        files[2].with_name("x.dcm").write_bytes(bytes(content))
        with pytest.raises(InputError, match=r"x\.dcm") as caught:
            read_scan(files[2].with_name("x.dcm"))
        assert len(str(caught.value)) < 500
        assert str(caught.value).isprintable()
