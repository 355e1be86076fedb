"""Acquisitions of one geometry in one folder are scans of their own; settings that vary within one do not tear it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from dicom_checks import check_read, find_stacks
from dicom_files import Layout, write_classic
from pydicom.dataset import Dataset

from custom.scans import list_scans, read_scan

_LAYOUT = Layout(axis="repeat")
_FIRST = {"FlipAngle": "90", "InversionTime": "150"}
# The second lies at the same places, between the slices of the first, or goes on where it ends.
_PLACES = {"same": 0.0, "between": 0.5, "behind": 4.0}


def _two(folder: Path, second: Mapping[str, Any], slices: float = 0.0, uid: str | None = "1.2.4") -> None:
    """Write two acquisitions of one SeriesInstanceUID, number and description, that differ in some elements."""

    def setting(values: Mapping[str, Any], first_number: int) -> Callable[[Dataset, int, int], Dataset]:
        def change(image: Dataset, k: int, _: int) -> Dataset:
            image.SeriesNumber, image.InstanceNumber = 3, first_number + k
            image.SeriesInstanceUID = uid
            if uid is None:
                del image.SeriesInstanceUID
            for keyword, value in values.items():
                setattr(image, keyword, value)
            return image

        return change

    origin = tuple(_LAYOUT.position(0) + slices * _LAYOUT.spacing[2] * _LAYOUT.normal)
    write_classic(folder, _LAYOUT, 1, change=setting(_FIRST, 1))
    write_classic(folder, Layout(axis="repeat", origin=origin), 2, change=setting({**_FIRST, **second}, 5))


@pytest.mark.parametrize(
    "second",
    [
        {"SeriesNumber": 7},
        {"SeriesDescription": "t1"},
        {"ProtocolName": "t1"},
        {"ScanningSequence": "GR"},
        {"SequenceVariant": ["SP", "MP"]},
        {"MRAcquisitionType": "3D"},
        {"ContrastBolusAgent": "Gadovist"},
        {"RepetitionTime": "480"},
        {"RepetitionTime": ""},
        {"InversionTime": "900"},
        {"FlipAngle": "15"},
        {"ImageType": ["ORIGINAL", "PRIMARY", "P", "NONE"]},
    ],
    ids=lambda second: ", ".join(map(str, *second.items())) if isinstance(second, dict) else None,
)
@pytest.mark.parametrize("place", _PLACES)
def test_other_settings_are_another_scan(tmp_path: Path, second: Mapping[str, Any], place: str) -> None:
    _two(tmp_path, second, _PLACES[place])
    stacks = find_stacks(tmp_path)
    assert sorted({file.name[:6] for file in stack.files}.pop() for stack in stacks) == ["IM-001", "IM-002"]
    assert [len(stack.files) for stack in stacks] == [4, 4]


@pytest.mark.parametrize("place", ["between", "behind"])
def test_another_echo_in_slices_of_its_own_is_another_scan(tmp_path: Path, place: str) -> None:
    _two(tmp_path, {"EchoTime": "90"}, _PLACES[place])
    assert [{file.name[:6] for file in stack.files} for stack in find_stacks(tmp_path)] == [{"IM-001"}, {"IM-002"}]


@pytest.mark.parametrize("uid", ["", None])
@pytest.mark.parametrize("second", [{"SeriesTime": "121500"}, {"FlipAngle": "15"}], ids=["SeriesTime", "FlipAngle"])
def test_images_without_uid_of_series_are_told_apart(tmp_path: Path, uid: str | None, second: dict[str, str]) -> None:
    _two(tmp_path, second, _PLACES["behind"], uid)
    assert [{file.name[:6] for file in stack.files} for stack in find_stacks(tmp_path)] == [{"IM-001"}, {"IM-002"}]


@pytest.mark.parametrize("second", [{"SeriesNumber": 7}, {"SeriesDescription": "T1 post"}], ids=["number", "words"])
def test_the_key_chooses_an_acquisition_of_a_shared_uid(tmp_path: Path, second: dict[str, Any]) -> None:
    _two(tmp_path, second)
    (scan,) = list_scans(tmp_path, series=str(*second.values()))
    assert {file.name[:6] for file in scan.dicom_stack().files} == {"IM-002"}
    assert len({scan.name for scan in list_scans(tmp_path)}) == 2


def test_what_differs_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _two(tmp_path, {"RepetitionTime": "480", "ContrastBolusAgent": "Gadovist"})
    with caplog.at_level(logging.INFO):
        list_scans(tmp_path)
    assert "series 3 holds 2 scans of different contrast" in caplog.text
    assert "ContrastBolusAgent (none), Gadovist; RepetitionTime 2450.0, 480.0" in caplog.text


def test_images_of_one_uid_and_other_contrast_are_no_copies(tmp_path: Path) -> None:
    """Some anonymisers give all images one SOPInstanceUID."""

    def change(image: Dataset, number: int) -> Dataset:
        image.SOPInstanceUID, image.SeriesInstanceUID, image.SeriesNumber = "1.2.3", "1.2.4", 3
        image.FlipAngle = str(number)
        return image

    for number in (15, 90):
        write_classic(tmp_path, _LAYOUT, number, change=lambda image, *_, number=number: change(image, number))
    assert [len(stack.files) for stack in find_stacks(tmp_path)] == [4, 4]


def _one_scan(folder: Path, layout: Layout, change: Callable[[Dataset, int, int], Dataset]) -> None:
    write_classic(folder, layout, change=change)
    (stack,) = find_stacks(folder)
    check_read(stack, layout)
    read_scan(folder)


@pytest.mark.parametrize("keyword", ["InversionTime", "RepetitionTime", "FlipAngle", "EchoTime"])
def test_a_setting_that_differs_from_slice_to_slice_does_not_tear_a_scan(tmp_path: Path, keyword: str) -> None:
    def change(image: Dataset, k: int, _: int) -> Dataset:
        setattr(image, keyword, str(100 * (k + 1)))
        return image

    _one_scan(tmp_path, Layout(frames=3), change)


def test_a_repetition_time_that_follows_the_heart_does_not_tear_a_scan(tmp_path: Path) -> None:
    def change(image: Dataset, k: int, _: int) -> Dataset:
        image.RepetitionTime = ("37.2", "39.9")[k // 2]
        return image

    _one_scan(tmp_path, Layout(frames=3), change)


def test_inversion_times_of_one_slice_after_their_triggers_are_one_scan(tmp_path: Path) -> None:
    def change(image: Dataset, k: int, t: int) -> Dataset:
        image.InversionTime = str(100 + 80 * t)
        return image

    _one_scan(tmp_path, Layout(shape=(6, 5, 1), frames=4), change)
