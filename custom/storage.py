"""Files and folders that are written whole or not at all, and their digests."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from custom.errors import InputError, MissingFileError

__all__ = ["check_free", "replace_file", "sha256", "whole_file", "whole_folder"]


def check_free(path: Path, overwrite: bool) -> None:
    """Refuse a place where a result is already, unless it may be overwritten.

    Raises:
        InputError: with the ways out.
    """
    if path.exists() and not overwrite:
        raise InputError(f"{path}: is there already; give another output_dir, or --overwrite true")


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, with its ending; it is renamed when the block ends well, else removed.

    The folder is made if need be. A reader, or a process that is stopped, never leaves half a file.

    Raises:
        InputError: for an `OSError` in the block or in renaming, such as a full disk or a folder that is read-only.
    """
    target = Path(path)
    temporary = target.with_name(f".{secrets.token_hex(8)}{''.join(target.suffixes[-2:])}")
    with _written(target):
        try:
            yield temporary
            temporary.replace(target)
        finally:
            with contextlib.suppress(OSError):  # gone when all went well, and never there where the folder is not one
                temporary.unlink()


@contextlib.contextmanager
def whole_folder(path: str | Path, replaces: str = "*") -> Iterator[Path]:
    """Give a temporary, empty folder beside `path`; it is renamed when the block ends well, else removed.

    A folder that is there is replaced, once the new one is complete, if it holds nothing but such files as it will be
    replaced by; other people's files are not deleted.

    Args:
        path: the folder; those above it are made if need be.
        replaces: glob pattern of the files that may be deleted with an old folder.

    Raises:
        InputError: for an `OSError` in the block or in renaming, such as a full disk or a folder that is read-only; for
            a file of that name, or a folder that holds something else.
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
            shutil.rmtree(old, ignore_errors=True)  # only now: until here it is the one whole result there is
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def replace_file(path: str | Path, content: bytes | str) -> Path:
    """Write a text or bytes as a whole file, over the one that is there.

    Raises:
        InputError: as `whole_file`.
    """
    with whole_file(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    return Path(path)


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits.

    Raises:
        MissingFileError: if there is no such file.
    """
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except (FileNotFoundError, IsADirectoryError) as err:
        raise MissingFileError(f"{path}: no such file; its SHA-256 was asked for") from err


def _check_replaceable(folder: Path, pattern: str) -> None:
    if folder.is_symlink() or not folder.is_dir():
        raise InputError(f"{folder}: is not a folder, and the result is one; move it, or give another --output_dir")
    other = sorted(entry.name for entry in folder.iterdir() if not entry.is_file() or not entry.match(pattern))
    if other:
        raise InputError(
            f"{folder}: holds something else ({', '.join(other[:3])}), so it is not replaced; move it, or give another "
            "--output_dir"
        )


@contextlib.contextmanager
def _written(target: Path) -> Iterator[None]:
    """Make the folders above a target, which go again if the block fails, and say in words why it cannot be written."""
    made: list[Path] = []
    try:
        made = list(itertools.takewhile(lambda folder: not folder.exists(), target.parents))
        target.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException as err:
        for folder in made:
            with contextlib.suppress(OSError):  # another process may have put something there
                folder.rmdir()
        if isinstance(err, OSError):
            raise InputError(
                f"{target}: cannot be written ({err.strerror or err}); check the folder, who may write to it, and the "
                "free space on the disk, or give another --output_dir"
            ) from err
        raise
