from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from custom.errors import InputError, MissingFileError, UsageError
from custom.networks import VGG
from custom.weights import load_vgg, vgg
from custom.weights.vgg import vgg_variable

LAYERS = {"block1_conv2": 1.0}


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch) -> Path:
    """An empty cache and no variables, so that nothing of the developer's own is found; no network either."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    for name, address in vgg.VGG_ADDRESSES.items():
        monkeypatch.delenv(vgg_variable(name), raising=False)
        monkeypatch.setitem(vgg.VGG_ADDRESSES, name, (tmp_path / Path(address).name).as_uri())
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    """Random weights of more layers than are used, and a classifier, as in the published file."""
    torch.manual_seed(0)
    state = {key: torch.randn_like(value) for key, value in VGG("vgg16", ["block2_conv1"]).state_dict().items()}
    return state | {"classifier.0.weight": torch.zeros(2, 3)}


def check(network: VGG, state: dict[str, torch.Tensor]) -> None:
    assert list(network.state_dict()) == [f"features.{i}.{part}" for i in (0, 2) for part in ("weight", "bias")]
    for key, value in network.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, state[key].float())
    assert not any(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_named_file(tmp_path, state, ending, dtype):
    state = {key: value.to(dtype) for key, value in state.items()}
    path = tmp_path / f"weights{ending}"
    save_file(state, path) if ending == ".safetensors" else torch.save(state, path)
    check(load_vgg("vgg16", LAYERS, path), state)


def test_the_variable_comes_after_the_argument_and_before_the_cache(tmp_path, state, hub, monkeypatch):
    hub.mkdir(parents=True)
    files = []
    for factor, path in enumerate([hub / "vgg16-397923af.pth", tmp_path / "variable.pth", tmp_path / "argument.pth"]):
        files.append({key: value + factor for key, value in state.items()})
        torch.save(files[-1], path)
    check(load_vgg("vgg16", LAYERS), files[0])
    monkeypatch.setenv("MRI_SR_VGG16_WEIGHTS", str(tmp_path / "variable.pth"))
    check(load_vgg("vgg16", LAYERS), files[1])
    check(load_vgg("vgg16", LAYERS, tmp_path / "argument.pth"), files[2])


def offer(tmp_path: Path, state: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch, digits: str = "") -> str:
    """Put the weights where the address points to, under the beginning of their hash (or other digits)."""
    torch.save(state, tmp_path / "made.pth")
    digits = digits or hashlib.sha256((tmp_path / "made.pth").read_bytes()).hexdigest()[:8]
    published = (tmp_path / "made.pth").rename(tmp_path / f"vgg16-{digits}.pth")
    monkeypatch.setitem(vgg.VGG_ADDRESSES, "vgg16", published.as_uri())
    return published.name


def test_a_download_is_kept_in_the_cache(tmp_path, state, hub, monkeypatch):
    name = offer(tmp_path, state, monkeypatch)
    check(load_vgg("vgg16", LAYERS), state)
    assert [path.name for path in hub.iterdir()] == [name]
    (tmp_path / name).unlink()
    check(load_vgg("vgg16", LAYERS), state)


def test_a_download_with_another_hash_is_not_kept(tmp_path, state, hub, monkeypatch):
    offer(tmp_path, state, monkeypatch, digits="00000000")
    with pytest.raises(InputError, match="invalid hash value"):
        load_vgg("vgg16", LAYERS)
    assert list(hub.iterdir()) == []


def test_no_weights_at_all_is_one_clear_error(tmp_path, hub):
    with pytest.raises(InputError) as caught:
        load_vgg("vgg19", LAYERS)
    for words in (vgg.VGG_ADDRESSES["vgg19"], str(hub), "MRI_SR_VGG19_WEIGHTS", "vgg_weights"):
        assert words in str(caught.value)


def test_addresses_are_those_of_torchvision():
    """Read from the source, since the fixture replaces them here."""
    text = Path(vgg.__file__).read_text()
    assert "https://download.pytorch.org/models/vgg16-397923af.pth" in text
    assert "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth" in text


def test_a_named_file_that_is_absent(tmp_path, monkeypatch):
    with pytest.raises(MissingFileError, match=r"absent\.pth"):
        load_vgg("vgg16", LAYERS, tmp_path / "absent.pth")
    monkeypatch.setenv("MRI_SR_VGG16_WEIGHTS", str(tmp_path / "other.pth"))
    with pytest.raises(MissingFileError, match=r"other\.pth"):
        load_vgg("vgg16", LAYERS)


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_a_truncated_file(tmp_path, state, ending):
    path = tmp_path / f"weights{ending}"
    save_file(state, path) if ending == ".safetensors" else torch.save(state, path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match=r"weights.*truncated"):
        load_vgg("vgg16", LAYERS, path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda s: s | {"features.2.weight": torch.zeros(64, 32, 3, 3)},
            r"features\.2\.weight is \[64, 32, 3, 3\], the network has \[64, 64, 3, 3\]",
        ),
        (lambda s: s | {"features.0.bias": torch.full((64,), float("nan"))}, r"features\.0\.bias .*not finite"),
        (lambda s: {k: v for k, v in s.items() if k != "features.0.weight"}, r"features\.0\.weight is missing"),
        (lambda s: {f"model.{k}": v for k, v in s.items()}, r"features\.0\.bias is missing"),
    ],
)
def test_weights_of_something_else(tmp_path, state, change, words):
    path = tmp_path / "weights.safetensors"
    save_file(change(state), path)
    with pytest.raises(InputError, match=words):
        load_vgg("vgg16", LAYERS, path)


def test_a_layer_behind_the_end_of_the_file(tmp_path, state):
    path = tmp_path / "weights.safetensors"
    save_file(state, path)
    with pytest.raises(
        InputError, match=r"as far as block3_conv1: features\.7\.weight is missing.*layers that it holds"
    ):
        load_vgg("vgg16", ["block3_conv1"], path)


def test_files_that_would_run_code_are_not_loaded(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"features.0.weight": Path("x")}, path)
    with pytest.raises(InputError, match="could run code"):
        load_vgg("vgg16", LAYERS, path)


def test_an_unknown_network_is_refused_before_any_file_is_looked_for():
    with pytest.raises(UsageError, match="network is 'vgg11'"):
        load_vgg("vgg11", LAYERS)


def test_the_real_weights_are_read_and_widened(shared_data):
    path = shared_data / "weights" / "vgg16_features_to_conv4_1_fp16.safetensors"
    network = load_vgg("vgg16", ["block4_conv1", "block2_conv2"], path)
    assert torch.equal(network.features[17].weight, load_file(path)["features.17.weight"].float())
    with pytest.raises(InputError, match=r"features\.19\.weight is missing"):
        load_vgg("vgg16", ["block4_conv2"], path)
