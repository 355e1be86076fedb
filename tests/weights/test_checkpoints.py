from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from custom.errors import InputError, MissingFileError
from custom.networks import ESPCN
from custom.weights.checkpoints import choose_checkpoint, load_models, load_weights, read_checkpoint, save_checkpoint


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


class _Attack:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("attacked",)


def test_a_checkpoint_that_would_run_code_is_refused_and_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": _Attack()}, "evil.pt")
    with pytest.raises(InputError, match=r"evil\.pt.*could run code"):
        read_checkpoint("evil.pt")
    assert not Path("attacked").exists()


def test_broken_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with pytest.raises(MissingFileError, match="--checkpoint"):
        read_checkpoint(path)
    save_checkpoint(_network().state_dict(), path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"weights"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"model\.pt"):
            read_checkpoint(path)
    safe = tmp_path / "model.safetensors"
    safe.write_bytes(b"text")
    with pytest.raises(InputError, match="truncated"):
        read_checkpoint(safe)
    torch.save(torch.ones(2), path)
    with pytest.raises(InputError, match="holds a Tensor"):
        read_checkpoint(path)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    state = _network().state_dict()
    state["bias"][0] = float("nan")
    save_checkpoint(state, tmp_path / "nan.pt")
    with pytest.raises(InputError, match="bias holds values that are not finite"):
        load_weights(_network(), tmp_path / "nan.pt")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint({"epoch": 1}, path)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(InputError, match="No space left"):
        save_checkpoint({"epoch": 2}, path)
    assert read_checkpoint(path) == {"epoch": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


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


def test_models_of_a_bundle_are_found_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    saved = {name: _network() for name in ("model_1", "model_2")}
    for name, network in saved.items():
        save_checkpoint(network.state_dict(), tmp_path / "models" / f"{name}.pt")
    loaded = load_models({name: _network() for name in saved}, tmp_path)
    assert list(loaded) == list(saved)
    for name, network in saved.items():
        assert torch.equal(loaded[name].weight, network.weight)  # type: ignore[arg-type]
    with pytest.raises(MissingFileError, match=r"model_3\.pt"):
        load_models({"model_3": _network()}, tmp_path)
