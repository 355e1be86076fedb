"""Elements that damage has put where they do not belong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_checks import stack_of
from dicom_files import Layout, content, write_classic, write_enhanced

from custom.scans.dicom.pixels import read_stack
from custom.scans.dicom.writer import write_dicom

LAYOUT = Layout()


@pytest.mark.parametrize("tag", [b"\x02\x00\x13\x00", b"\x00\x00\x02\x00", b"\x04\x00\x30\x11"])
@pytest.mark.parametrize("enhanced", [False, True], ids=["classic", "enhanced"])
def test_what_belongs_to_no_image_is_not_written(tmp_path: Path, tag: bytes, enhanced: bool) -> None:
    """AccessionNumber, which is there and empty, becomes an element of the file's own, of a message or a directory."""
    files = [write_enhanced(tmp_path / "in.dcm", LAYOUT)] if enhanced else write_classic(tmp_path / "in", LAYOUT)
    for file in files:
        whole = file.read_bytes()
        assert whole.count(b"\x08\x00\x50\x00SH") == 1
        file.write_bytes(whole.replace(b"\x08\x00\x50\x00SH", tag + b"SH"))
    source = stack_of(files[0])
    written = write_dicom(content(LAYOUT), source.affine, source, tmp_path / ("out.dcm" if enhanced else "out"))
    np.testing.assert_array_equal(read_stack(stack_of(written)).array, content(LAYOUT))
