"""What holds for the configs of every bundle: keys, properties, one truth for the network, overlays."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow, ckpt_export, verify_metadata, verify_net_in_out

BUNDLES = sorted(p for p in (Path(__file__).resolve().parents[2] / "bundles").iterdir() if p.is_dir())
SCHEMA = Path(__file__).with_name("metadata_schema.json")

# The configs that every bundle has.
COMMANDS = ("train", "evaluate", "wiener", "robustness", "inference", "multi_gpu_train", "multi_gpu_evaluate")

# Names that a user learns once.
COMMON_KEYS = {
    *("bundle_root", "dataset_dir", "output_dir", "scale_factor", "degradation", "device", "amp", "seed", "debug"),
    *("checkpoint", "network_def", "inferer"),
}
TRAINING_KEYS = COMMON_KEYS | {
    *("data_manifest", "max_epochs", "learning_rate", "batch_size", "patch_size", "num_workers", "resume"),
    *("loss", "optimizer", "train", "validate", "experiment_name", "tracking_uri"),
}

pytestmark = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda p: p.name)


def _config(bundle: Path, name: str) -> dict[str, Any]:
    return json.loads((bundle / "configs" / name).read_text())


def _workflow(bundle: Path, kind: str, *names: str, **override: Any) -> ConfigWorkflow:
    workflow = ConfigWorkflow(
        [str(bundle / "configs" / name) for name in names],
        workflow_type=kind,
        logging_file=False,
        bundle_root=str(bundle),
        **override,
    )
    # Properties are read without running `initialize`, which would make output folders.
    workflow.parser.parse(reset=True)
    workflow._is_initialized = True
    return workflow


def test_files_of_the_model_zoo_are_there(bundle: Path) -> None:
    wanted = (*COMMANDS, "metadata")
    assert not [name for name in wanted if not (bundle / "configs" / f"{name}.json").is_file()]
    for name in ("configs/logging.conf", "docs/README.md", "docs/data_license.txt", "LICENSE"):
        assert (bundle / name).is_file(), name
    for name in ("models/model.pt", "models/wiener.pt"):
        assert (bundle / name).is_file(), name


def test_keys_have_the_names_that_all_bundles_share(bundle: Path) -> None:
    assert not TRAINING_KEYS - _config(bundle, "train.json").keys()
    assert not (COMMON_KEYS | {"input", "tile_size", "halo"}) - _config(bundle, "inference.json").keys()


def test_training_and_inference_have_one_network(bundle: Path) -> None:
    train, inference = _config(bundle, "train.json"), _config(bundle, "inference.json")
    same = ("network_def", "network", "degradation", "scan_degradation", "scale_factor", "slice_axis", "context_slices")
    for key in (*same, "halo", "model_name"):
        assert train.get(key) == inference.get(key), key


def test_run_ids_are_those_of_the_commands_and_of_the_zoo(bundle: Path) -> None:
    assert {"initialize", "run", "training", "finalize"} <= _config(bundle, "train.json").keys()
    assert {"initialize", "run", "evaluating"} <= _config(bundle, "evaluate.json").keys()
    assert {"initialize", "run", "inference", "finalize"} <= _config(bundle, "inference.json").keys()


def test_properties_of_training_and_inference(bundle: Path, tmp_path: Path) -> None:
    for kind, name in (("train", "train.json"), ("infer", "inference.json")):
        workflow = _workflow(bundle, kind, name, output_dir=str(tmp_path))
        assert workflow.check_properties() == [], name


def test_monai_adds_its_own_tracking(bundle: Path, tmp_path: Path) -> None:
    for kind, name, lists in (
        ("train", "train.json", ["train::handlers", "validate::handlers"]),
        ("infer", "inference.json", ["handlers"]),
    ):
        workflow = _workflow(bundle, kind, name, output_dir=str(tmp_path), tracking="mlflow")
        assert [workflow.parser[handlers][-1]["_target_"] for handlers in lists] == ["MLFlowHandler"] * len(lists)
        assert workflow.check_properties() == [], name


def test_overlays_change_known_places_only(bundle: Path) -> None:
    files = [str(bundle / "configs" / name) for name in ("train.json", "evaluate.json")]
    base = ConfigParser(ConfigParser.load_config_files(files))
    inference = ConfigParser(_config(bundle, "inference.json"))
    overlays = sorted((bundle / "configs").glob("*.json"))
    own = {"train.json", "evaluate.json", "wiener.json", "robustness.json", "inference.json", "metadata.json"}
    # Overlays for several processes add the wrapper of the network and a sampler, one for several models the models.
    # That for partial Fourier gives a member of the family two parameters more.
    new = {"parallel_network", "validate::dataloader::sampler", "published"}
    new |= {f"family::members::windowed_k_space::{name}" for name in ("partial_fourier", "phase_encoding")}
    for overlay in (path for path in overlays if path.name not in own):
        assert len(overlay.read_text().splitlines()) <= 30, f"{overlay.name} is no overlay of a few lines"
        for key in json.loads(overlay.read_text()):
            place = key.replace("#", "::")
            assert not any(part.isdigit() for part in place.split("::")), f"{overlay.name}: {key} is a list position"
            assert place in base or place in inference or place in new, f"{overlay.name}: {key}"


def test_every_command_takes_paths_as_they_were_typed(bundle: Path) -> None:
    """By what `Run.start` is handed; see custom/command_line.py."""
    started = [path for path in (bundle / "configs").glob("*.json") if "run_state.start(" in path.read_text()]
    assert {"train.json", "evaluate.json", "inference.json"} <= {path.name for path in started}
    assert not [path for path in started if "run_state.start(__local_refs)" not in path.read_text()]


def test_every_command_checks_its_words_before_it_runs(bundle: Path) -> None:
    """A word too many takes the place of `initialize`; `Run` refuses it, if it is made before the work."""
    configs = [_config(bundle, path.name) for path in (bundle / "configs").glob("*.json")]
    runs = [config["run"] for config in configs if "run" in config]
    assert len(runs) >= 5
    assert [run[0] for run in runs] == ["@run_state"] * len(runs)


def test_metadata_fits_the_schema(bundle: Path) -> None:
    digest = hashlib.sha256(SCHEMA.read_bytes()).hexdigest()
    verify_metadata(
        meta_file=str(bundle / "configs" / "metadata.json"), filepath=str(SCHEMA), hash_val=digest, hash_type="sha256"
    )
    metadata = _config(bundle, "metadata.json")
    assert metadata["version"] in metadata["changelog"]


def test_each_model_has_its_own_limit_of_consistency(bundle: Path) -> None:
    metadata = _config(bundle, "metadata.json")
    limits = metadata["consistency_limit"]["limits"]
    assert {f"{name}.pt" for name in limits} == metadata["weights"].keys() - {"wiener.pt"}
    overlays = [path.name for path in (bundle / "configs").glob("*.json") if "model_name" in _config(bundle, path.name)]
    for name in {"inference.json", *overlays} - {"train.json"}:
        parser = _workflow(bundle, "infer", "inference.json", name).parser
        assert parser.get_parsed_content("consistency_limit") == limits.pop(parser["model_name"])
    assert not limits


def test_network_fits_the_metadata_and_enlarges(bundle: Path) -> None:
    verify_net_in_out(
        "network_def",
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.json"),
        bundle_root=str(bundle),
        n=4,
        device="cpu",
    )
    workflow = _workflow(bundle, "infer", "inference.json")
    degradation = workflow.parser.get_parsed_content("degradation")
    shape = [5 + axis for axis in range(degradation.spatial_dims)]
    network = workflow.parser.get_parsed_content("network_def").eval()
    with torch.no_grad():
        enlarged = network(torch.rand(1, 1, *shape))
    assert list(enlarged.shape[2:]) == [n * s for n, s in zip(shape, degradation.scale_factor, strict=True)]


def test_exported_torchscript_gives_the_same(bundle: Path, tmp_path: Path) -> None:
    ckpt_export(
        "network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(bundle / "models" / "model.pt"),
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.json"),
        bundle_root=str(bundle),
    )
    scripted = torch.jit.load(str(tmp_path / "model.ts"))
    network = _workflow(bundle, "infer", "inference.json", device="cpu").parser.get_parsed_content("network").eval()
    for size in (8, 13):
        image = torch.rand(1, 1, *[size] * (len(next(network.parameters()).shape) - 2))
        with torch.no_grad():
            torch.testing.assert_close(scripted(image), network(image), atol=1e-5, rtol=1e-5)


def test_configs_of_all_bundles_differ_only_in_what_is_theirs(bundle: Path) -> None:
    """What no model has of its own is the same text everywhere, so that no bundle is left behind."""
    own = {
        *("dataset_dir", "data_manifest", "degradation", "network_def", "loss", "lr_scheduler", "halo", "model_name"),
        *("max_epochs", "learning_rate", "patch_size", "experiment_name", "scale_factor", "validate#handlers"),
        *("context_slices", "blur_grid", "vgg", "vgg_layers", "vgg_weights", "zscore", "comparison", "cine_table"),
        *("every", "neighbours", "others"),  # of robustness
        *("m_mode", "family", "overshoot", "reach", "loss_with_perceptual", "amp", "imports"),
    }
    if "slice_axis" not in _config(bundle, "train.json"):  # a network of volumes, which are not sliced
        own |= {"slice_axis", "scan_degradation", "inferer", "rotations", "network", "batch_size", "patches_per_epoch"}
    for name in (f"{name}.json" for name in COMMANDS):
        ours, first = (_common(_config(folder, name), own) for folder in (bundle, BUNDLES[0]))
        assert ours == first, name


def _common(value: Any, own: set[str]) -> Any:
    """Leave out what is a bundle's own, wherever in a config it stands."""
    if isinstance(value, dict):
        return {key: _common(part, own) for key, part in value.items() if key not in own}
    return [_common(part, own) for part in value] if isinstance(value, list) else value
