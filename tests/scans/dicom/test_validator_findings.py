"""Elements of derived DICOM that the module tables of PS3.3 ask for, or forbid without others that are left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from dicom_checks import stack_of
from dicom_files import Layout, write_classic, write_enhanced
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from custom.scans.dicom.pixels import read_stack
from custom.scans.dicom.writer import DicomForm, write_dicom

LAYOUT = Layout(shape=(3, 4, 2))
OF_WINDOW = {"VOILUTFunction", "WindowCenter", "WindowCenterWidthExplanation", "WindowWidth"}
ROUTE = "ContrastBolusAdministrationRouteSequence"


def _derived(source: Path, target: Path, form: DicomForm = "as_input") -> list[Dataset]:
    """Write a source's own voxels as a result and read its files."""
    stack = stack_of(source)
    scan = read_stack(stack)
    written = write_dicom(scan.array, scan.affine, stack, target, form=form)
    return [pydicom.dcmread(path) for path in (sorted(written.iterdir()) if written.is_dir() else [written])]


def _classic(folder: Path, change: Callable[[Dataset], None]) -> list[Dataset]:
    """Write an Enhanced source, and a classic result of it."""
    return _derived(write_enhanced(folder / "in.dcm", LAYOUT, change=change), folder / "out", "classic")


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


@pytest.mark.parametrize("groups", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
def test_spoiling_is_not_said_without_the_kind_of_echo(tmp_path: Path, groups: str) -> None:
    def gradient_echo(image: Dataset) -> None:
        image.EchoPulseSequence = "GRADIENT"
        for group in image[groups].value:
            group.MRModifierSequence = Items([_item(Spoiling="RF", FlowCompensation="NONE")])

    source = write_enhanced(tmp_path / "in.dcm", LAYOUT, change=gradient_echo)
    (image,) = _derived(source, tmp_path / "out.dcm")
    modifiers = [group.MRModifierSequence[0] for group in image[groups].value]
    assert len(modifiers) == (2 if groups.startswith("PerFrame") else 1)
    assert "EchoPulseSequence" not in image
    assert [set(modifier.dir()) for modifier in modifiers] == [{"FlowCompensation"}] * len(modifiers)


def _table(image: Dataset, *_: int) -> Dataset:
    """Give a table of grey values in place of a window."""
    del image.WindowCenter, image.WindowWidth
    table = _item(LUTExplanation="made up")
    table.add_new("LUTDescriptor", "US", [4, 0, 16])
    table.add_new("LUTData", "US", [0, 1, 2, 3])
    image.VOILUTSequence = Items([table])
    image.VOILUTFunction = "LINEAR"
    return image


def test_nothing_is_said_of_a_window_that_is_not_there(tmp_path: Path) -> None:
    write_classic(tmp_path / "in", LAYOUT, change=_table)
    for image in _derived(tmp_path / "in", tmp_path / "out"):
        assert "VOILUTSequence" not in image
        assert OF_WINDOW & set(image.dir()) == set()


def test_a_window_is_kept_with_what_is_said_of_it(tmp_path: Path) -> None:
    said = {"VOILUTFunction": "SIGMOID", "WindowCenterWidthExplanation": "made up"}

    def say(image: Dataset, *_: int) -> Dataset:
        image.update(_item(**said))
        return image

    write_classic(tmp_path / "in", LAYOUT, change=say)
    for image in _derived(tmp_path / "in", tmp_path / "out"):
        assert (image.WindowCenter, image.WindowWidth) == (500, 1000)
        assert {keyword: image.get(keyword) for keyword in said} == said


def _agents(*administered: str) -> Callable[[Dataset], None]:
    """Give contrast agents A, B, ..., and say of each whether it was there when the frames were acquired."""

    def change(image: Dataset) -> None:
        agents, uses = [], []
        for number, there in enumerate(administered, start=1):
            letter = "_ABC"[number]
            agent = _item(CodeValue=f"C-{number}", CodingSchemeDesignator="99MADEUP", CodeMeaning=f"Agent {letter}")
            agent.ContrastBolusAgentNumber = number
            agent.ContrastBolusVolume = 10.0 * number
            agent.ContrastBolusIngredientCodeSequence = Items([])
            route = _item(CodeValue="G-D101", CodingSchemeDesignator="SNM3", CodeMeaning="Intravenous route")
            setattr(agent, ROUTE, Items([route]))
            agents.append(agent)
            uses.append(_item(ContrastBolusAgentNumber=number, ContrastBolusAgentAdministered=there))
        image.ContrastBolusAgentSequence = Items(agents)
        image.SharedFunctionalGroupsSequence[0].ContrastBolusUsageSequence = Items(uses)

    return change


@pytest.mark.parametrize(
    ("administered", "name", "volume"),
    [
        (("YES",), "Agent A", 10.0),
        (("NO", "YES"), "Agent B", 20.0),
        (("YES", "YES"), "Agent A, Agent B", None),
    ],
)
def test_contrast_agents_are_named_as_a_classic_image_does(
    tmp_path: Path, administered: tuple[str, ...], name: str, volume: float | None
) -> None:
    for image in _classic(tmp_path, _agents(*administered)):
        assert image.ContrastBolusAgent == name
        codes = [item.CodeMeaning for item in image.ContrastBolusAgentSequence]
        assert ", ".join(codes) == name
        for item in image.ContrastBolusAgentSequence:
            assert set(item.dir()) == {"CodeValue", "CodingSchemeDesignator", "CodeMeaning"}
        assert image.get("ContrastBolusVolume") == volume
        assert (ROUTE in image) == (volume is not None)


def test_a_frame_from_before_the_contrast_agent_names_none(tmp_path: Path) -> None:
    for image in _classic(tmp_path, _agents("NO")):
        assert [keyword for keyword in image.dir() if keyword.startswith("Contrast")] == []


@pytest.mark.parametrize(("times", "expected"), [(None, None), ([900.0, 1100.0], 900.0)])
def test_what_an_image_has_to_say_of_its_echo_and_inversion_is_there(
    tmp_path: Path, times: list[float] | None, expected: float | None
) -> None:
    def inverted(image: Dataset) -> None:
        modifier = _item(InversionRecovery="YES")
        if times:
            modifier.InversionTimes = times
        image.SharedFunctionalGroupsSequence[0].MRModifierSequence = Items([modifier])

    for image in _classic(tmp_path, inverted):
        assert image.ScanningSequence == "IR"
        assert image["InversionTime"].value == expected
        assert image["EchoTrainLength"].value is None


def test_no_inversion_is_said_of_another_sequence(tmp_path: Path) -> None:
    for image in _classic(tmp_path, lambda image: setattr(image, "EchoPulseSequence", "SPIN")):
        assert image.ScanningSequence == "SE"
        assert "InversionTime" not in image
