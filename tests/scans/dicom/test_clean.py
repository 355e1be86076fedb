"""Which elements of a source are written again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_changes import item
from dicom_checks import derived, stack_of
from dicom_files import Layout, content, write_classic, write_enhanced
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag

from custom.scans.dicom.files import lenient_pydicom
from custom.scans.dicom.pixels import read_stack
from custom.scans.dicom.writer import write_dicom

LAYOUT = Layout(shape=(3, 4, 2))
OF_WINDOW = {"VOILUTFunction", "WindowCenter", "WindowCenterWidthExplanation", "WindowWidth"}


def _table(image: Dataset, *_: int) -> Dataset:
    """Give a table of grey values in place of a window."""
    del image.WindowCenter, image.WindowWidth
    table = item(LUTExplanation="made up")
    table.add_new("LUTDescriptor", "US", [4, 0, 16])
    table.add_new("LUTData", "US", [0, 1, 2, 3])
    image.VOILUTSequence = Items([table])
    image.VOILUTFunction = "LINEAR"
    return image


def test_elements_of_a_window_go_where_there_is_none(tmp_path: Path) -> None:
    write_classic(tmp_path / "in", LAYOUT, change=_table)
    for image in derived(tmp_path / "in", tmp_path / "out"):
        assert "VOILUTSequence" not in image
        assert OF_WINDOW & set(image.dir()) == set()


def test_a_window_is_kept_with_its_elements(tmp_path: Path) -> None:
    values = {"VOILUTFunction": "SIGMOID", "WindowCenterWidthExplanation": "made up"}

    def describe(image: Dataset, *_: int) -> Dataset:
        image.update(item(**values))
        return image

    write_classic(tmp_path / "in", LAYOUT, change=describe)
    for image in derived(tmp_path / "in", tmp_path / "out"):
        assert (image.WindowCenter, image.WindowWidth) == (500, 1000)
        assert {keyword: image.get(keyword) for keyword in values} == values


@pytest.mark.parametrize("tag", [b"\x02\x00\x13\x00", b"\x00\x00\x02\x00", b"\x04\x00\x30\x11"])
def test_elements_of_files_messages_and_directories_are_not_written(tmp_path: Path, tag: bytes) -> None:
    """Damage may put them into an image: here AccessionNumber, which is there and empty, becomes one."""
    for file in write_classic(tmp_path / "in", LAYOUT):
        whole = file.read_bytes()
        assert whole.count(b"\x08\x00\x50\x00SH") == 1
        file.write_bytes(whole.replace(b"\x08\x00\x50\x00SH", tag + b"SH"))
    source = stack_of(tmp_path / "in")
    written = write_dicom(content(LAYOUT), source.affine, source, tmp_path / "out")
    np.testing.assert_array_equal(read_stack(stack_of(written)).array, content(LAYOUT))


@pytest.mark.parametrize(
    ("keyword", "vr", "value"),
    [
        ("SeriesNumber", "LO", b"\xff\xfe"),
        ("SeriesNumber", "UI", b"1.2 "),
        ("SeriesNumber", "SS", b"\x05\0"),
        ("SeriesInstanceUID", "OB", b"1.2.3 "),
        ("StudyInstanceUID", "SS", b"\x05\0"),
        ("StudyInstanceUID", "LO", b"1.2.3 "),
        ("SeriesDescription", "SS", b"\x05\0"),
        ("ImageType", "SL", b"\x05\0\0\0"),
        ("ImageType", "OW", b"ORIGINAL"),
        ("DerivationDescription", "OW", b"abc "),
        ("InstanceNumber", "LO", b"1\\2 "),
        ("RescaleIntercept", "SS", b"\0\0"),
        ("ContributingEquipmentSequence", "SL", b"\x05\0\0\0"),
        ("ContributingEquipmentSequence", "UT", b"abc "),
        ("PatientName", "LO", b"Made^Up "),
        ("EchoTime", "FD", b"\0\0\0\0\0\0\xf0\x3f"),
    ],
)
@pytest.mark.parametrize("form", ["classic", "enhanced"])
def test_elements_of_another_type_do_not_hinder_a_result(
    tmp_path: Path, keyword: str, vr: str, value: bytes, form: str
) -> None:
    def change(image: Dataset, *_: int) -> Dataset:
        tag = Tag(keyword)
        image._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
        return image

    with lenient_pydicom():
        if form == "classic":
            write_classic(tmp_path / "in", LAYOUT, change=change)
        else:
            write_enhanced(tmp_path / "in" / "a.dcm", LAYOUT, change=change)
    source = stack_of(tmp_path / "in")
    written = write_dicom(content(LAYOUT), source.affine, source, tmp_path / "out")
    np.testing.assert_array_equal(read_stack(stack_of(written)).array, content(LAYOUT))
    file = next(written.iterdir()) if written.is_dir() else written
    assert {element.VR for element in pydicom.dcmread(file) if element.keyword == keyword} <= {dictionary_VR(keyword)}
