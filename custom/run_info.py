"""What a run writes down about itself: versions, revision, configuration."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from custom import __version__
from custom.storage import replace_file

__all__ = ["git_revision", "versions", "write_config"]

_DISTRIBUTIONS = {
    "torch": "torch",
    "monai": "monai",
    "ignite": "pytorch-ignite",
    "numpy": "numpy",
    "nibabel": "nibabel",
    "mlflow": "mlflow",
}


def versions() -> dict[str, str]:
    """Return the versions that decide a result, by name; a package that is not installed is "not installed"."""
    found = {"python": platform.python_version()}
    for name, distribution in _DISTRIBUTIONS.items():
        try:
            found[name] = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    found["custom"] = __version__
    return found


def git_revision(folder: str | Path | None = None) -> str | None:
    """Return the commit that `folder` is checked out from, with "-dirty" behind it where files were changed.

    Args:
        folder: a folder of the checkout; default: the folder of this package.

    Returns:
        None where there is no git, no checkout, or where git does not track the folder: an environment may lie inside
        the checkout of another project, whose commit would say nothing about this one.
    """
    folder = Path(__file__).parents[1] if folder is None else Path(folder)

    def git(*arguments: str) -> str:
        # Without the lock, `describe --dirty` would rewrite the index of a checkout that somebody may be working in.
        result = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
        return result.stdout.strip()

    try:
        if not git("ls-files", "."):
            return None
        return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*") or None
    except (OSError, subprocess.SubprocessError):
        return None


def _plain(value: Any) -> Any:
    """Return a value of a config or of the command line as JSON knows it; anything else becomes its text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no NaN and no infinity
    return value if value is None or isinstance(value, str | int | float) else str(value)


def write_config(config: Mapping[str, Any], output_dir: str | Path, name: str = "config.json") -> Path:
    """Write a configuration as it was run to `output_dir`, and return the file's path.

    Args:
        config: as read from files and the command line, not resolved.
        output_dir: the folder, made if it is not there.
        name: the file's name.

    Raises:
        InputError: if the folder cannot be written.
    """
    return replace_file(Path(output_dir) / name, json.dumps(_plain(config), indent=2, allow_nan=False) + "\n")
