"""Headers of Enhanced frames in the elements of classic images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from dicom_changes import item
from dicom_checks import derived
from dicom_files import Layout, write_enhanced
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

LAYOUT = Layout(shape=(3, 4, 2))


ROUTE = "ContrastBolusAdministrationRouteSequence"


def _classic(folder: Path, change: Callable[[Dataset], None]) -> list[Dataset]:
    """Write an Enhanced source, and a classic result of it."""
    return derived(write_enhanced(folder / "in.dcm", LAYOUT, change=change), folder / "out", "classic")


def _agents(*administered: str) -> Callable[[Dataset], None]:
    """Give contrast agents A, B, ..., and say of each whether it was there when the frames were acquired."""

    def change(image: Dataset) -> None:
        agents, uses = [], []
        for number, there in enumerate(administered, start=1):
            letter = "_ABC"[number]
            agent = item(CodeValue=f"C-{number}", CodingSchemeDesignator="99MADEUP", CodeMeaning=f"Agent {letter}")
            agent.ContrastBolusAgentNumber = number
            agent.ContrastBolusVolume = 10.0 * number
            agent.ContrastBolusIngredientCodeSequence = Items([])
            route = item(CodeValue="G-D101", CodingSchemeDesignator="SNM3", CodeMeaning="Intravenous route")
            setattr(agent, ROUTE, Items([route]))
            agents.append(agent)
            uses.append(item(ContrastBolusAgentNumber=number, ContrastBolusAgentAdministered=there))
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
        codes = [agent.CodeMeaning for agent in image.ContrastBolusAgentSequence]
        assert ", ".join(codes) == name
        for agent in image.ContrastBolusAgentSequence:
            assert set(agent.dir()) == {"CodeValue", "CodingSchemeDesignator", "CodeMeaning"}
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
        modifier = item(InversionRecovery="YES")
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
