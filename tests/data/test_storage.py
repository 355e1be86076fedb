from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from custom.data.storage import replace_file, sha256, whole_file
from custom.errors import InputError, MissingFileError


@pytest.mark.parametrize("size", [0, 1, 3 << 20])
def test_sha256_is_that_of_the_content(tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * (size // 256) if size > 1 else b"x" * size
    (tmp_path / "weights.pt").write_bytes(content)
    assert sha256(tmp_path / "weights.pt") == hashlib.sha256(content).hexdigest()


def test_sha256_a_missing_file_names_it(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"nothing\.pt"):
        sha256(tmp_path / "nothing.pt")


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "table.md"
    replace_file(path, "old")
    replace_file(path, b"new")
    assert [file.name for file in tmp_path.iterdir()] == ["table.md"]
    assert path.read_bytes() == b"new"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = replace_file(tmp_path / "scan.nii.gz", "old")

    def write_half() -> None:
        with whole_file(path) as temporary:
            temporary.write_text("half")
            assert temporary.name.endswith(".nii.gz")
            raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match=r"scan\.nii\.gz: cannot be written \(No space left"):
        write_half()
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["scan.nii.gz"]
