"""Reading and writing weights: plain tensors, never code."""

from __future__ import annotations

import logging
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from custom.errors import InputError, MissingFileError
from custom.networks.architecture import architecture_of
from custom.storage import whole_file

__all__ = ["choose_checkpoint", "fill_network", "load_models", "load_weights", "read_checkpoint", "save_checkpoint"]

logger = logging.getLogger(__name__)

Network = TypeVar("Network", bound=nn.Module)

# The names under which the tools of the field store a network beside other things.
_ENTRIES = ("network", "model", "state_dict")


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a file of tensors and plain values onto the CPU; nothing in it is executed.

    Args:
        path: a file of torch.save, or safetensors.

    Raises:
        MissingFileError: when it is not there.
        InputError: when it is truncated, no checkpoint, or holds objects that would have to run code.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path}: no such checkpoint; give the path of a file of weights by --checkpoint")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: not a checkpoint, or one that holds more than plain tensors; such are not loaded, because they "
            "could run code: save the network's state_dict() instead"
        ) from error
    except (RuntimeError, EOFError, OSError, SafetensorError, zipfile.BadZipFile, ValueError, KeyError) as error:
        raise InputError(f"{path}: truncated, or not a checkpoint; fetch or write it again") from error
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


def load_weights(network: Network, checkpoint: str | Path | None) -> Network:
    """Fill a network with the weights of a file.

    Args:
        network: is changed in place.
        checkpoint: a bare state dict; a dictionary that has one under "network", "model" or "state_dict"; or the
            `last.pt` of a training, of which the evaluated network is taken. Half precision is widened. None leaves
            the network as it is.

    Returns:
        The network.

    Raises:
        InputError: when names or shapes differ, saying which; when a weight is not finite.
    """
    if checkpoint is None:
        return network
    content = read_checkpoint(checkpoint)
    networks = content.get("networks")
    entries = [networks.get(content.get("evaluated"))] if isinstance(networks, dict) else map(content.get, _ENTRIES)
    weights = next((entry for entry in entries if isinstance(entry, dict)), content)
    return fill_network(network, weights, checkpoint)


def fill_network(network: Network, weights: Mapping[str, Any], source: str | Path) -> Network:
    """Fill a network with a state dict.

    Args:
        network: is changed in place.
        weights: the state dict; half precision is widened.
        source: the file that it is from, for the words of an error.

    Returns:
        The network.

    Raises:
        InputError: as `load_weights`.
    """
    expected = network.state_dict()
    theirs, ours = architecture_of(weights), architecture_of(expected)
    if theirs and ours and theirs != ours:
        raise InputError(
            f"{source}: weights of another network: the file is of {theirs!r}, the config of {ours!r}; give the "
            "scale_factor, context_slices and overlay that it was trained with, or another --checkpoint"
        )
    if ours:
        weights = {"architecture": expected["architecture"], **weights}
    problems = [f"{name} is missing" for name in expected.keys() - weights.keys()]
    problems += [f"{name} is unknown" for name in weights.keys() - expected.keys()]
    for name in expected.keys() & weights.keys():
        value = weights[name]
        if not isinstance(value, Tensor) or value.shape != expected[name].shape:
            shape = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
            problems.append(f"{name} is {shape}, the network has {list(expected[name].shape)}")
        elif not torch.isfinite(value).all():
            problems.append(f"{name} holds values that are not finite")
    if problems:
        shown = "; ".join(sorted(problems)[:3]) + ("; ..." if len(problems) > 3 else "")
        raise InputError(
            f"{source}: not the weights of this network: {shown}. A checkpoint fits the scale_factor, "
            "context_slices and network_def that it was trained with"
        )
    network.load_state_dict(weights)
    return network


def load_models(
    networks: Mapping[str, Network], bundle_root: str | Path, device: torch.device | str = "cpu"
) -> dict[str, Network]:
    """Fill several networks with the weights that a bundle has for them.

    Args:
        networks: by the names of their files, `models/<name>.pt`.
        bundle_root: the bundle's folder.
        device: where they go.

    Raises:
        InputError: as `load_weights`.
    """
    folder = Path(bundle_root) / "models"
    return {name: load_weights(network, folder / f"{name}.pt").to(device) for name, network in networks.items()}


def choose_checkpoint(output_dir: str | Path, bundle_root: str | Path, model_name: str = "model") -> str:
    """Name the weights to evaluate when none are named: those trained into `output_dir`, else the bundle's own.

    Raises:
        MissingFileError: when a training ended before its first validation.
    """
    trained = Path(output_dir) / "model.pt"
    if not trained.is_file() and trained.with_name("last.pt").is_file():
        raise MissingFileError(
            f"{trained}: not there, although a training wrote last.pt: it was never validated; train on with --resume "
            "true, or name the weights by --checkpoint"
        )
    chosen = trained if trained.is_file() else Path(bundle_root) / "models" / f"{model_name}.pt"
    logger.info("weights: %s", chosen)
    return str(chosen.resolve())
