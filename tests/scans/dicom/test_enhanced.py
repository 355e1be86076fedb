"""Derived multi-frame files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_changes import item
from dicom_checks import check_written, derived
from dicom_files import Layout, write_enhanced
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items


def test_an_enhanced_result_says_where_each_frame_comes_from(tmp_path: Path) -> None:
    written = check_written(tmp_path, Layout(frames=2, shape=(3, 4, 2)), (2, 2, 2), enhanced=True)
    image, source = pydicom.dcmread(written), pydicom.dcmread(tmp_path / "in.dcm")
    assert image.SOPClassUID == source.SOPClassUID
    assert image.NumberOfFrames == len(image.PerFrameFunctionalGroupsSequence) == 8
    pointers = [item.DimensionIndexPointer for item in image.DimensionIndexSequence]
    values = [tuple(g.FrameContentSequence[0].DimensionIndexValues) for g in image.PerFrameFunctionalGroupsSequence]
    assert len(set(values)) == 8
    assert len(pointers) == len(values[0]) == 3
    for group in image.PerFrameFunctionalGroupsSequence:
        derived = group.DerivationImageSequence[0]
        number = derived.SourceImageSequence[0].ReferencedFrameNumber
        origin = source.PerFrameFunctionalGroupsSequence[number - 1]
        cycles = [item.CardiacSynchronizationSequence[0].NominalCardiacTriggerDelayTime for item in (group, origin)]
        assert cycles[0] == cycles[1]
        assert derived.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert "PixelMeasuresSequence" not in image.SharedFunctionalGroupsSequence[0]
        distance = np.subtract(*(i.PlanePositionSequence[0].ImagePositionPatient for i in (group, origin)))
        assert np.abs(distance).max() <= 1.0 + 1e-6  # a quarter of the slice spacing of 4 mm, less in the plane


@pytest.mark.parametrize("groups", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
def test_spoiling_is_not_said_without_the_kind_of_echo(tmp_path: Path, groups: str) -> None:
    def gradient_echo(image: Dataset) -> None:
        image.EchoPulseSequence = "GRADIENT"
        for group in image[groups].value:
            group.MRModifierSequence = Items([item(Spoiling="RF", FlowCompensation="NONE")])

    source = write_enhanced(tmp_path / "in.dcm", Layout(shape=(3, 4, 2)), change=gradient_echo)
    (image,) = derived(source, tmp_path / "out.dcm")
    modifiers = [group.MRModifierSequence[0] for group in image[groups].value]
    assert len(modifiers) == (2 if groups.startswith("PerFrame") else 1)
    assert "EchoPulseSequence" not in image
    assert [set(modifier.dir()) for modifier in modifiers] == [{"FlowCompensation"}] * len(modifiers)
