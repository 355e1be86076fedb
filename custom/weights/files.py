"""Files of weights: written whole, checked for damage, read without running code."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from custom.errors import InputError, MissingFileError
from custom.storage import sha256, whole_file

__all__ = ["consistency_limit", "read_checkpoint", "save_checkpoint"]


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a file of tensors and plain values onto the CPU; nothing in it is executed.

    The weights that a bundle ships, `models/<name>.pt`, are read only if their SHA-256 is the one that
    `configs/metadata.json` has under "weights". Of other files of `torch.save` the checksum of each entry is checked,
    which `torch.load` does not do. What the tensors are, and whether they are finite, is not looked at here.

    Args:
        path: a file of `torch.save`, or safetensors.

    Raises:
        MissingFileError: when it is not there.
        InputError: when it is damaged, no checkpoint, or holds objects that would have to run code.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path}: no such checkpoint; give the path of a file of weights by --checkpoint")
    _check_published(path)
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        if zipfile.is_zipfile(path):
            _check_zip(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: not a checkpoint, or one that holds more than plain tensors; such are not loaded, because they "
            "could run code: save the network's state_dict() instead"
        ) from error
    except PermissionError as error:  # other errors of the system are what torch meets in a torn file
        raise InputError(f"{path}: cannot be read ({error.strerror}); check who may read it") from error
    except Exception as error:  # there is no end to what readers raise for damaged bytes
        raise InputError(f"{path}: truncated, damaged, or not a checkpoint; fetch or write it again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds a {type(content).__name__}, not a dictionary of weights")
    return content


def save_checkpoint(content: Mapping[str, Any], path: str | Path) -> None:
    """Write tensors and plain values; a reader never sees half a file.

    Args:
        content: a state dict, or a dictionary of them and of numbers.
        path: the file to write.

    Raises:
        InputError: when the folder cannot be written.
    """
    with whole_file(path) as temporary:
        try:
            torch.save(dict(content), temporary)
        except RuntimeError as error:  # what torch makes of a full disk
            raise OSError(str(error)) from error


def consistency_limit(bundle_root: str | Path, model_name: str) -> float:
    """Return how far a model's results may be from their inputs; `metadata.json` says how the limit was found.

    Args:
        bundle_root: the bundle's folder.
        model_name: of the weights, `models/<model_name>.pt`. Weights of one's own have the limit of the model that
            they are of.

    Raises:
        InputError: when `configs/metadata.json` cannot be read, or has no limit for the model.
    """
    metadata = Path(bundle_root) / "configs" / "metadata.json"
    limit = _metadata_entry(metadata, "consistency_limit", "limits", model_name)
    if not isinstance(limit, (int, float)):
        raise InputError(f"{metadata}: has no consistency_limit for {model_name}; give one by --consistency_limit")
    return float(limit)


def _check_published(path: Path) -> None:
    """Compare a file in a bundle's folder `models` with the SHA-256 in the bundle's metadata."""
    folder = Path(os.path.abspath(path)).parent  # noqa: PTH100 (a link into a store of files stays where it is)
    metadata = folder.parent / "configs" / "metadata.json"
    if folder.name != "models" or not metadata.is_file():
        return
    expected = _metadata_entry(metadata, "weights", path.name, "sha256")
    if expected is None:
        return  # weights that the bundle does not ship
    if (found := sha256(path)) != expected:
        raise InputError(
            f"{path}: damaged or replaced: its SHA-256 is {found}, but {metadata} has {expected}. Fetch the bundle's "
            "weights again. Keep weights of your own in another folder and name them by --checkpoint, or, if the "
            "bundle is yours, write their SHA-256 there"
        )


def _metadata_entry(metadata: Path, *keys: str) -> Any:
    """Return an entry of a bundle's metadata; None where it is not there."""
    try:
        value = json.loads(metadata.read_text("utf-8"))
        for key in keys:
            value = value[key]
    except KeyError:
        return None
    except Exception as error:
        raise InputError(f"{metadata}: cannot be read ({error}); fetch the bundle again") from error
    return value


def _check_zip(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise InputError(f"{path}: not a checkpoint: its entries are compressed, those of torch.save are not")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise InputError(f"{path}: damaged: its entries claim to be larger than the file; fetch or write it again")
        if (entry_name := archive.testzip()) is not None:
            raise InputError(f"{path}: damaged: the checksum of {entry_name} is wrong; fetch or write it again")
