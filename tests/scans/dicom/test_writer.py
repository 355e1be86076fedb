"""Derived series: place, values and frames; whole or not at all."""

from __future__ import annotations

import re
import resource
from pathlib import Path

import numpy as np
import pytest
from dicom_checks import check_written, stack_of
from dicom_files import Layout, content, rotated, write_classic, write_enhanced, write_source
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from custom.errors import InputError
from custom.scans.dicom.pixels import read_stack
from custom.scans.dicom.writer import DicomForm, write_dicom


@pytest.mark.parametrize("kind", ["classic", "enhanced", "classic from enhanced"])
@settings(max_examples=8)
@given(
    angles=st.tuples(*[st.floats(-3.1, 3.1)] * 3),
    shape=st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3)),
    spacing=st.tuples(*[st.floats(0.2, 6.0)] * 3),
    factors=st.tuples(*[st.integers(1, 4)] * 3),
    frames=st.integers(1, 3),
    axis=st.sampled_from(["time", "echo"]),
)
def test_place_values_and_frames_survive(
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    angles: tuple[float, float, float],
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    factors: tuple[int, int, int],
    frames: int,
    axis: str,
) -> None:
    layout = Layout(shape=shape, orientation=rotated(angles), spacing=spacing, frames=frames, axis=axis)
    form: DicomForm = "classic" if kind == "classic from enhanced" else "as_input"
    check_written(tmp_path_factory.mktemp("series"), layout, factors, kind != "classic", form)


@pytest.mark.parametrize("enhanced", [False, True])
@pytest.mark.parametrize(
    "layout",
    [
        Layout(slopes=(0.5, 2.0, 0.1), intercept=3.0),
        Layout(slopes=None, dtype="int16"),
        Layout(frames=2, axis="acquisition"),
        Layout(tilt=0.8, shape=(6, 5, 3)),
        Layout(shape=(7, 3, 1)),
    ],
    ids=["slopes", "signed", "acquisitions", "tilt", "one slice"],
)
def test_layouts(tmp_path: Path, layout: Layout, enhanced: bool) -> None:
    check_written(tmp_path, layout, (2, 2, 1), enhanced)


@pytest.mark.parametrize("enhanced", [False, True])
def test_a_source_without_identifiers_can_be_written(tmp_path: Path, enhanced: bool) -> None:
    def without(image: Dataset, *_: int) -> Dataset:
        for keyword in ("SOPClassUID", "StudyInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID"):
            delattr(image, keyword)
        return image

    if enhanced:
        write_enhanced(tmp_path / "in.dcm", change=without)
    else:
        write_classic(tmp_path / "in", change=without)
    source = stack_of(tmp_path / ("in.dcm" if enhanced else "in"))
    written = write_dicom(content(Layout()), source.affine, source, tmp_path / "out.dcm")
    np.testing.assert_array_equal(read_stack(stack_of(written)).array, content(Layout()))


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = stack_of(write_source(tmp_path, Layout()))
    written: list[Path] = []
    save = Dataset.save_as

    def full(self: Dataset, stream: object, **kwargs: object) -> None:
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(tmp_path)
        save(self, stream, **kwargs)

    monkeypatch.setattr(Dataset, "save_as", full)
    with pytest.raises(InputError, match="No space left"):
        write_dicom(content(Layout()), source.affine, source, tmp_path / "results" / "out")
    assert not (tmp_path / "results").exists()
    assert len(written) == 2


@pytest.mark.parametrize("enhanced", [False, True])
def test_an_error_of_the_disk_keeps_its_own_words(tmp_path: Path, enhanced: bool) -> None:
    """Writing stops in the middle, since the system lets no file grow further; pydicom would print a traceback."""
    source = stack_of(write_source(tmp_path, Layout(), enhanced))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, limits[1]))
    try:
        with pytest.raises(InputError, match=r"cannot be written \(File too large\)"):
            write_dicom(content(Layout()), source.affine, source, tmp_path / "results" / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (tmp_path / "results").exists()


def test_results_are_replaced_only_if_wanted_and_only_results(tmp_path: Path) -> None:
    source = stack_of(write_source(tmp_path, Layout()))
    array = content(Layout())
    target = write_dicom(array, source.affine, source, tmp_path / "out")
    with pytest.raises(InputError, match="is there already"):
        write_dicom(array, source.affine, source, target)
    write_dicom(array + 1, source.affine, source, target, overwrite=True)
    np.testing.assert_array_equal(read_stack(stack_of(target)).array, array + 1)
    (target / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds something else \(notes\.txt\)"):
        write_dicom(array, source.affine, source, target, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    assert (target / "notes.txt").read_text() == "mine"


def test_a_source_that_went_away_is_named(tmp_path: Path) -> None:
    source = stack_of(write_source(tmp_path, Layout()))
    source.files[2].unlink()
    with pytest.raises(InputError, match=re.escape(source.files[2].name)):
        write_dicom(content(Layout()), source.affine, source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
