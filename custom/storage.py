"""Writing files and folders whole or not at all, by one process at a time, and the SHA-256 of files."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from custom.errors import InputError, MissingFileError

__all__ = ["check_free", "lock_folder", "replace_file", "sha256", "unlock_folder", "whole_file", "whole_folder"]

_locks: dict[Path, IO[str]] = {}


def lock_folder(folder: str | Path) -> None:
    """Let no other process lock a folder until `unlock_folder`, or until this process ends in whatever way.

    The lock is the operating system's, on a file `.lock` in the folder, which stays there. A process may lock a folder
    again that it has locked already. Where the system has no such locks, nothing is locked.

    Raises:
        InputError: if another process has locked the folder.
    """
    path = Path(folder).resolve() / ".lock"
    if fcntl is None or path in _locks:
        return
    file = path.open("a+")
    try:
        # Not flock: the processes that load data would inherit that lock and keep it when this one is killed.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as err:
        file.seek(0)
        holder = file.read(200).strip() or "unknown"
        file.close()
        raise InputError(
            f"{folder}: another process is writing into this folder ({holder}); wait until it has ended, or give "
            "another --output_dir"
        ) from err
    except OSError:  # a file system without locks
        file.close()
        return
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()
    _locks[path] = file


def unlock_folder(folder: str | Path) -> None:
    """Let other processes lock a folder again; nothing happens where it is not locked."""
    file = _locks.pop(Path(folder).resolve() / ".lock", None)
    if file is not None:
        file.close()


def check_free(path: Path, overwrite: bool) -> None:
    """Refuse the path of a result that exists already, unless it may be overwritten.

    Raises:
        InputError: if the path exists and `overwrite` is false.
    """
    # Unlike Path.exists, this takes a name that is too long; it is refused when it is written.
    if os.path.exists(path) and not overwrite:  # noqa: PTH110
        raise InputError(f"{path}: is there already; give another --output_dir, or --overwrite true")


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Provide a temporary path for a file that is to be written; missing folders are made.

    The temporary file lies beside `path` and has its suffixes. It is renamed to `path` if the block succeeds, and
    removed if the block fails. So `path` never holds half a file, even if the process is killed.

    Args:
        path: of the file; an existing file is replaced.

    Raises:
        InputError: if the block or the renaming raises an `OSError`, such as a full disk or a read-only folder.
    """
    target = Path(path)
    temporary = target.with_name(f".{secrets.token_hex(8)}{''.join(target.suffixes[-2:])}")
    with _written(target):
        try:
            yield temporary
            temporary.replace(target)
        finally:
            with contextlib.suppress(OSError):  # it does not exist after success, or if the folder could not be made
                temporary.unlink()


@contextlib.contextmanager
def whole_folder(path: str | Path, replaces: str) -> Iterator[Path]:
    """Provide a temporary, empty folder for files that are to be written; missing folders above it are made.

    The temporary folder lies beside `path`. It is renamed to `path` if the block succeeds, and removed if the block
    fails. An existing folder is replaced after that, if all that it holds fits `replaces`, so that no other files are
    deleted.

    Args:
        path: of the folder.
        replaces: the glob pattern of the files that may be deleted with an existing folder.

    Raises:
        InputError: if the block or the renaming raises an `OSError`, such as a full disk or a read-only folder; if
            `path` is a file, or a folder that holds other files.
    """
    target = Path(path)
    temporary = target.with_name(f".{secrets.token_hex(8)}")
    old = target.with_name(f".{secrets.token_hex(8)}")
    with _written(target):
        try:
            temporary.mkdir()
            yield temporary
            if target.exists():
                _check_replaceable(target, replaces)
                target.rename(old)
            try:
                temporary.rename(target)
            except OSError:
                if old.exists():
                    old.rename(target)
                raise
            shutil.rmtree(old, ignore_errors=True)  # only now, as until here it was the only whole result
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def replace_file(path: str | Path, content: bytes | str) -> Path:
    """Write text (UTF-8) or bytes to a file, whole or not at all; an existing file is replaced.

    Returns:
        The path.

    Raises:
        InputError: as `whole_file`.
    """
    with whole_file(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    return Path(path)


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits.

    Raises:
        MissingFileError: if the file does not exist.
    """
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except (FileNotFoundError, IsADirectoryError) as err:
        raise MissingFileError(f"{path}: no such file, so its SHA-256 cannot be computed; check the path") from err


def _check_replaceable(folder: Path, pattern: str) -> None:
    if folder.is_symlink() or not folder.is_dir():
        raise InputError(f"{folder}: is not a folder, but the result is one; move it, or give another --output_dir")
    other = sorted(entry.name for entry in folder.iterdir() if not entry.is_file() or not entry.match(pattern))
    if other:
        raise InputError(
            f"{folder}: holds something else ({', '.join(other[:3])}), so it is not replaced; move it, or give another "
            "--output_dir"
        )


@contextlib.contextmanager
def _written(target: Path) -> Iterator[None]:
    """Make the folders above a target, and remove them if the block fails. An `OSError` becomes an `InputError`."""
    made: list[Path] = []
    try:
        made = list(itertools.takewhile(lambda folder: not folder.exists(), target.parents))
        target.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException as err:
        for folder in made:
            with contextlib.suppress(OSError):  # another process may have put a file into it
                folder.rmdir()
        if isinstance(err, OSError):
            reason = err.strerror or next(iter(str(err).splitlines()), "")  # pydicom adds a traceback to its words
            advice = (
                "check the folder, who may write to it, and the free space on the disk, or give another --output_dir"
            )
            if err.errno == errno.ENAMETOOLONG:
                advice = "give the source, or the folder, a shorter name"
            raise InputError(f"{target}: cannot be written ({reason}); {advice}") from err
        raise
