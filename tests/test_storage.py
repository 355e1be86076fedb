from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from custom.errors import InputError, MissingFileError
from custom.storage import check_free, lock_folder, replace_file, sha256, unlock_folder, whole_file, whole_folder

_LOCKING = "import sys; from custom.storage import lock_folder; lock_folder(sys.argv[1]); print('locked'); input()"


def test_a_folder_is_locked_for_other_processes_until_their_end(tmp_path: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", _LOCKING, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(InputError, match=rf"another process is writing into this folder \(process {other.pid} on "):
            lock_folder(tmp_path)
        other.kill()
    lock_folder(tmp_path)
    lock_folder(tmp_path / ".." / tmp_path.name)  # the same process, the same folder
    ended = subprocess.run([sys.executable, "-c", _LOCKING, str(tmp_path)], capture_output=True, text=True, check=False)
    assert f"process {os.getpid()} on " in ended.stderr
    unlock_folder(tmp_path)
    unlock_folder(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-c", _LOCKING, str(tmp_path)], capture_output=True, text=True, check=False, input="\n"
    )
    assert ended.stdout == "locked\n"


def test_a_file_system_without_locks_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(file: object, operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("custom.storage.fcntl.lockf", no_locks)
    lock_folder(tmp_path)
    monkeypatch.setattr("custom.storage.fcntl", None)
    lock_folder(tmp_path)


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


@pytest.mark.parametrize("whole", [whole_file, partial(whole_folder, replaces="*.dcm")])
def test_folders_made_for_a_failed_write_go_again(
    tmp_path: Path, whole: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    (tmp_path / "here").mkdir()

    def fail() -> None:
        with whole(tmp_path / "here" / "new" / "newer" / "x"):
            raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="No space left"):
        fail()
    assert list((tmp_path / "here").iterdir()) == []


def test_a_name_that_the_system_does_not_take_is_told(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 300) / "x" / "table.md"
    check_free(path, overwrite=False)
    with pytest.raises(InputError, match=r"File name too long\); give the source, or the folder, a shorter name"):
        replace_file(path, "text")


def test_a_folder_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "series"

    def write(content: str, fail: bool = False) -> None:
        with whole_folder(target, "*.dcm") as temporary:
            assert not list(temporary.iterdir())
            (temporary / "1.dcm").write_text(content)
            if fail:
                raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match=r"series: cannot be written \(No space left"):
        write("half", fail=True)
    assert list(tmp_path.iterdir()) == []
    write("old")
    with pytest.raises(InputError, match="No space left"):
        write("half", fail=True)
    assert (target / "1.dcm").read_text() == "old"
    write("new")
    assert (target / "1.dcm").read_text() == "new"
    (target / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes\.txt"):
        write("newer")
    assert (target / "1.dcm").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["series"]


def test_a_folder_does_not_replace_a_file_or_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link"):
        with pytest.raises(InputError, match="is not a folder"), whole_folder(tmp_path / name, "*.dcm"):
            pass
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="cannot be written"), whole_folder(tmp_path / "file" / "series", "*.dcm"):
        pass
