from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from custom.errors import InputError, MissingFileError
from custom.networks import ESPCN
from custom.networks.architecture import store_architecture
from custom.weights import choose_checkpoint, load_models, load_weights, save_checkpoint


def _network(outputs: int = 2) -> nn.Module:
    return nn.Conv2d(1, outputs, 3)


@pytest.mark.parametrize("entry", [None, "network", "model", "state_dict"])
def test_weights_come_back_from_every_usual_form(tmp_path: Path, entry: str | None) -> None:
    saved = _network()
    state = saved.state_dict()
    save_checkpoint(state if entry is None else {entry: state, "epoch": 3}, tmp_path / "model.pt")
    loaded = load_weights(_network(), tmp_path / "model.pt")
    assert all(torch.equal(loaded.state_dict()[k], v) for k, v in state.items())


def test_half_precision_and_safetensors_are_widened(tmp_path: Path) -> None:
    state = {k: v.half() for k, v in _network().state_dict().items()}
    safetensors.torch.save_file(state, tmp_path / "model.safetensors")
    loaded = load_weights(_network(), tmp_path / "model.safetensors").state_dict()
    assert all(loaded[k].dtype == torch.float32 and torch.equal(loaded[k], v.float()) for k, v in state.items())


def test_weights_of_another_network_name_the_layer_and_the_cause(tmp_path: Path) -> None:
    save_checkpoint(_network(9).state_dict(), tmp_path / "x3.pt")
    network = _network()
    before = network.weight.clone()
    with pytest.raises(
        InputError, match=r"x3.pt.*weight is \[9, 1, 3, 3\], the network has \[2, 1, 3, 3\].*scale_factor"
    ):
        load_weights(network, tmp_path / "x3.pt")
    assert torch.equal(network.weight, before)


@pytest.mark.parametrize(
    ("bias", "words"),
    [
        (lambda: torch.tensor([1.0, math.nan]), "holds values that are not finite"),
        (lambda: torch.tensor([1.0, 1e300], dtype=torch.float64), "holds values that are not finite"),
        (lambda: torch.tensor([1, 2]), r"holds values of type torch\.int64, the network has torch\.float32"),
        (lambda: torch.tensor([True, False]), r"holds values of type torch\.bool"),
        (lambda: torch.tensor([1.0, 2.0], dtype=torch.complex64), r"holds values of type torch\.complex64"),
        (lambda: torch.tensor([1.0, 0.0]).to_sparse(), "is a sparse, quantised, nested or meta tensor"),
        (lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "is a sparse, quantised"),
        (lambda: torch.empty(2, device="meta"), "is a sparse, quantised"),
        (lambda: torch.ones(1).expand(10**15), r"is \[1000000000000000\], the network has \[2\]"),
        (lambda: [1.0, 2.0], "is a list, not a tensor"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*TypedStorage is deprecated|.*torch.quantize|.*quantization")
def test_weights_that_are_not_plain_finite_numbers_are_refused(
    tmp_path: Path, bias: Callable[[], Any], words: str
) -> None:
    save_checkpoint({**_network().state_dict(), "bias": bias()}, tmp_path / "odd.pt")
    with pytest.raises(InputError, match=rf"odd\.pt.*bias {words}") as caught:
        load_weights(_network(), tmp_path / "odd.pt")
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float8_e4m3fn])
def test_any_floating_type_is_taken(tmp_path: Path, dtype: torch.dtype) -> None:
    state = {name: torch.ones_like(value).to(dtype) for name, value in _network().state_dict().items()}
    save_checkpoint(state, tmp_path / "model.pt")
    loaded = load_weights(_network(), tmp_path / "model.pt").state_dict()
    assert all(value.dtype == torch.float32 and bool((value == 1).all()) for value in loaded.values())


def test_counts_of_batch_norm_and_bytes_of_the_architecture_keep_their_types(tmp_path: Path) -> None:
    network = nn.Sequential(nn.BatchNorm2d(1))
    store_architecture(network, "of one norm")
    network[0].num_batches_tracked += 7  # type: ignore[operator]
    state = network.state_dict()
    save_checkpoint(state, tmp_path / "model.pt")
    loaded = load_weights(network, tmp_path / "model.pt").state_dict()
    assert loaded["0.num_batches_tracked"] == 7
    for name in ("0.num_batches_tracked", "architecture"):
        save_checkpoint({**state, name: state[name].float()}, tmp_path / "floats.pt")
        with pytest.raises(InputError, match=rf"{name} holds values of type torch\.float32"):
            load_weights(network, tmp_path / "floats.pt")


def test_trained_weights_go_before_the_shipped_ones(tmp_path: Path) -> None:
    assert choose_checkpoint(tmp_path, "bundle", "model_3") == str(Path("bundle/models/model_3.pt").resolve())
    (tmp_path / "model.pt").touch()
    assert choose_checkpoint(tmp_path, "bundle", "model_3") == str(tmp_path / "model.pt")


def test_a_training_that_was_never_validated_is_not_evaluated_with_the_shipped_weights(tmp_path: Path) -> None:
    (tmp_path / "last.pt").touch()
    with pytest.raises(MissingFileError, match="never validated"):
        choose_checkpoint(tmp_path, "bundle")


def test_weights_of_a_network_with_other_activations_are_refused(tmp_path: Path) -> None:
    save_checkpoint(ESPCN(activation="relu", last_activation="relu").state_dict(), tmp_path / "published.pt")
    with pytest.raises(InputError, match=r"'ESPCN x4, .*relu end, no skip'.*'ESPCN x4, .*linear end, no skip'"):
        load_weights(ESPCN(), tmp_path / "published.pt")
    bare = {k: v for k, v in ESPCN().state_dict().items() if k != "architecture"}
    save_checkpoint(bare, tmp_path / "bare.pt")
    load_weights(ESPCN(), tmp_path / "bare.pt")


def test_models_of_a_bundle_are_loaded_as_its_inference_does_from_any_folder(tmp_path: Path) -> None:
    saved = {"model_1": _network(2), "model_2": _network(4)}
    network = "$weights.load_weights(@network_def, @bundle_root + '/models/' + @model_name + '.pt').to(@device)"
    configs: dict[str, dict[str, Any]] = {
        "inference": {
            "imports": ["$import custom.weights as weights"],
            "bundle_root": ".",
            "device": "cuda",
            "model_name": "model",
            "network_def": {"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 2, "kernel_size": 3},
            "network": network,
        },
        "model_1": {"model_name": "model_1"},
        "model_2": {"model_name": "model_2", "network_def#out_channels": 4},
    }
    (tmp_path / "configs").mkdir()
    for name, content in configs.items():
        (tmp_path / "configs" / f"{name}.json").write_text(json.dumps(content))
    for name, layer in saved.items():
        save_checkpoint(layer.state_dict(), tmp_path / "models" / f"{name}.pt")
    loaded = load_models(list(saved), tmp_path)
    assert list(loaded) == list(saved)
    for name, layer in saved.items():
        assert torch.equal(loaded[name].weight, layer.weight)  # type: ignore[arg-type]
    with pytest.raises(MissingFileError, match=r"model_3\.json"):
        load_models(["model_3"], tmp_path)
