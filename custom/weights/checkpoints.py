"""Which weights a network gets, and whether they are weights of this network."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from monai.bundle import ConfigParser
from torch import Tensor, nn

from custom.errors import InputError, MissingFileError
from custom.networks.architecture import architecture_of
from custom.weights.files import read_checkpoint

__all__ = ["choose_checkpoint", "fill_network", "load_models", "load_weights", "weight_problems"]

logger = logging.getLogger(__name__)

Network = TypeVar("Network", bound=nn.Module)

# The names under which the tools of the field store a network beside other things.
_ENTRIES = ("network", "model", "state_dict")


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
    networks, evaluated = content.get("networks"), content.get("evaluated")
    if isinstance(networks, dict) and isinstance(evaluated, str):
        entries = [networks.get(evaluated)]
    else:
        entries = [content.get(name) for name in _ENTRIES]
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
    unknown = {name: "is unknown" for name in weights if name not in expected}
    if problems := weight_problems(weights, expected, unknown):
        raise InputError(
            f"{source}: not the weights of this network: {problems}. A checkpoint fits the scale_factor, "
            "context_slices and network_def that it was trained with"
        )
    network.load_state_dict(weights)
    return network


def weight_problems(
    weights: Mapping[str, Any], expected: Mapping[str, Tensor], others: Mapping[str, str] | None = None
) -> str:
    """Say what keeps weights from being those of a network, the first three problems; "" where nothing does.

    Only plain tensors of finite numbers are fit: of the shape that the network has, of any floating type where the
    network has a floating one, else of the same type (the counts of batch norm, the bytes of `architecture`).

    Args:
        weights: as they were read; values may be anything.
        expected: the state dict of the network.
        others: problems that are known already, by the name of the weight.
    """
    found = {name: _problem(weights.get(name), own) for name, own in expected.items()} | dict(others or {})
    problems = [f"{name} {problem}" for name, problem in found.items() if problem]
    return "; ".join(problems[:3]) + ("; ..." if len(problems) > 3 else "")


def _problem(value: Any, expected: Tensor) -> str | None:
    if value is None:
        return "is missing"
    if not isinstance(value, Tensor):
        return f"is a {type(value).__name__}, not a tensor"
    if value.layout is not torch.strided or value.is_quantized or value.is_meta or value.is_nested:
        return "is a sparse, quantised, nested or meta tensor, not a plain one"
    if value.shape != expected.shape:
        return f"is {list(value.shape)}, the network has {list(expected.shape)}"
    if value.dtype != expected.dtype and not (value.is_floating_point() and expected.is_floating_point()):
        return f"holds values of type {value.dtype}, the network has {expected.dtype}"
    if not torch.isfinite(value.to(expected.dtype)).all():
        return "holds values that are not finite"
    return None


def load_models(
    names: Sequence[str], bundle_root: str | Path, device: torch.device | str = "cpu"
) -> dict[str, nn.Module]:
    """Load models of a bundle, each as inference loads it with the model's overlay.

    Args:
        names: of the overlays, `configs/<name>.json`.
        bundle_root: the bundle's folder.
        device: where the networks go.

    Returns:
        The networks with their weights, by name.

    Raises:
        MissingFileError: when there is no such overlay.
        InputError: as `load_weights`.
    """
    configs = Path(bundle_root) / "configs"
    networks = {}
    for name in names:
        overlay = configs / f"{name}.json"
        if not overlay.is_file():
            raise MissingFileError(f"{overlay}: no such file; a model is named after its overlay in {configs}")
        parser = ConfigParser()
        parser.read_config([str(configs / "inference.json"), str(overlay)])
        parser.update({"bundle_root": str(bundle_root), "device": device})
        networks[name] = parser.get_parsed_content("network")
    return networks


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
