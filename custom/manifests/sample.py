"""The scans that come with the bundles."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from custom.errors import UsageError
from custom.manifests.synthetic_cine import sample_scans

__all__ = ["check_input", "chosen_input"]

logger = logging.getLogger(__name__)

_WORD = "sample"
_Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def check_input(given: _Paths | None) -> None:
    """Refuse an inference command without an input.

    Args:
        given: a path, or several, or the word "sample".

    Raises:
        UsageError: for None, an empty text, or an empty list.
    """
    if not given or "" in _listed(given):
        raise UsageError("no input is given; --input PATH is a file or a folder, --input sample the bundle's own scans")


def chosen_input(given: _Paths | None, dataset_dir: str | Path) -> str | list[str]:
    """Return the paths that the inference command reads.

    Args:
        given: a path, or several; the word "sample" for the scans of the bundle, even where a file of this name exists.
            None stands for them too: MONAI reads the properties of a config that has no input yet; no command comes
            here with None, see `check_input`.
        dataset_dir: the folder of the bundle's scans.

    Returns:
        The path, or a list of them. The files of the sample are there.
    """
    if given is None or given == _WORD:
        if given and Path(_WORD).exists():
            logger.warning("--input %s: the scans of the bundle are read; give ./%s for what lies here", _WORD, _WORD)
        return sample_scans(dataset_dir)
    return os.fspath(given) if isinstance(given, (str, os.PathLike)) else _listed(given)


def _listed(given: _Paths) -> list[str]:
    return [os.fspath(path) for path in ([given] if isinstance(given, (str, os.PathLike)) else given)]
