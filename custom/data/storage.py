"""Files that are written whole or not at all, and their digests."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path

from custom.errors import InputError, MissingFileError

__all__ = ["replace_file", "sha256", "whole_file"]


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, with its ending; it is renamed when the block ends well, else removed.

    The folder is made if need be. A reader, or a process that is stopped, never leaves half a file.

    Raises:
        InputError: for an `OSError` in the block or in renaming, such as a full disk or a folder that is read-only.
    """
    target = Path(path)
    temporary = target.with_name(f".{secrets.token_hex(8)}{''.join(target.suffixes[-2:])}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(target)
    except OSError as err:
        raise InputError(
            f"{target}: cannot be written ({err.strerror or err}); check the folder, who may write to it, and the free "
            "space on the disk, or give another --output_dir"
        ) from err
    finally:
        with contextlib.suppress(OSError):  # it is gone when all went well, and never was where the folder is not one
            temporary.unlink()


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
