"""What keeps a derived series from being written, and what is left then: nothing."""

from __future__ import annotations

import re
import resource
from pathlib import Path

import numpy as np
import pytest
from dicom_checks import stack_of
from dicom_files import OBLIQUE, Layout, content, write_source
from pydicom.dataset import Dataset

from custom.errors import InputError
from custom.scans.dicom.pixels import read_stack
from custom.scans.dicom.writer import write_dicom


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
def test_an_error_of_the_disk_is_said_in_its_own_words(tmp_path: Path, enhanced: bool) -> None:
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


def test_what_dicom_cannot_hold_is_refused(tmp_path: Path) -> None:
    source = stack_of(write_source(tmp_path, Layout(orientation=OBLIQUE)))
    array, target = content(Layout()), tmp_path / "out"
    sheared = source.affine.copy()
    sheared[:3, 0] += 0.2 * sheared[:3, 1]
    with pytest.raises(InputError, match="right angles"):
        write_dicom(array, sheared, source, target)
    with pytest.raises(InputError, match="NaN"):
        write_dicom(np.full_like(array, np.nan), source.affine, source, target)
    with pytest.raises(InputError, match="2 frames and its source 1"):
        write_dicom(np.stack([array, array], -1), source.affine, source, target)
    with pytest.raises(InputError, match="65536 columns"):
        write_dicom(np.zeros((65536, 1, 1)), source.affine, source, target)
    with pytest.raises(InputError, match="classic series does not say all"):
        write_dicom(array, source.affine, source, target, form="enhanced")
    assert not target.exists()


def test_a_source_that_went_away_is_named(tmp_path: Path) -> None:
    source = stack_of(write_source(tmp_path, Layout()))
    source.files[2].unlink()
    with pytest.raises(InputError, match=re.escape(source.files[2].name)):
        write_dicom(content(Layout()), source.affine, source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
