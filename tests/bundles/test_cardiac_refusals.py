"""What cardiac_mri_srresnet refuses beyond other bundles: cines with gaps, VGG, colours."""

from __future__ import annotations

import logging
import re
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from bundle_cases import Command, refusal
from dicom_files import Layout, write_classic
from PIL import Image
from pydicom.dataset import Dataset

from custom.weights.vgg import VGG_ADDRESSES, vgg_variable

BUNDLE = "cardiac_mri_srresnet"
CINE = Layout(shape=(8, 7, 3), frames=4)
SHORT = {"max_epochs": 1, "patches_per_epoch": 8, "batch_size": 4, "patch_size": [16, 16]}


def picture(size: tuple[int, int] = (24, 28), seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(60, 200, size, dtype=np.uint8))


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ({(1, 2)}, r"slice 2 \(.*\) has 3, none near trigger time 105"),
        ({(1, 3), (2, 2), (2, 3)}, r"slice 2 \(.*\) has 3, .*; slice 3 \(.*\) has 2, "),
    ],
    ids=["a phase missing", "unequal counts"],
)
@pytest.mark.parametrize("output_format", [None, "nifti"])
def test_a_cine_with_phases_missing(
    run_bundle: Command, tmp_path: Path, gone: set[tuple[int, int]], words: str, output_format: str | None
) -> None:
    def change(data: Dataset, k: int, t: int) -> Dataset | None:
        return None if (k, t) in gone else data

    write_classic(tmp_path / "sax", CINE, change=change)
    keys = {"input": str(tmp_path / "sax"), "output_dir": str(tmp_path / "out"), "output_format": output_format}
    said = refusal(1, run_bundle, BUNDLE, "inference", "inference", **keys)
    assert str(tmp_path / "sax") in said
    assert "slices have different numbers of frames: up to 4" in said
    assert re.search(words, said)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """The folders of Keras_SuperResolution_SRResNet with two slices of a patient in each split."""
    for number, part in enumerate(("train", "validation", "test")):
        for index in range(2):
            for folder, size in (("bssfp", (24, 28)), ("bssfp_lowres", (6, 7))):
                path = tmp_path / "pairs" / part / folder / f"P{number}_{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                picture(size, index).save(path)
    return tmp_path / "pairs"


def train(run_bundle: Command, pairs: Path, *overlays: str, **keys: object) -> dict[str, object]:
    options = {
        "dataset_dir": str(pairs),
        "data_manifest": "cardiac_srresnet_folders",
        "output_dir": str(pairs.parent / "out"),
        **SHORT,
        **keys,
    }
    run_bundle(BUNDLE, "training", "train", *overlays, **options)
    return options


def nothing_left(out: Path) -> bool:
    return not out.exists() or all(path.name == ".lock" for path in out.iterdir())


def test_folders_of_pairs_are_trained_on(run_bundle: Command, pairs: Path) -> None:
    train(run_bundle, pairs)
    assert (pairs.parent / "out" / "model.pt").is_file()


def test_weights_of_vgg_that_do_not_fit(run_bundle: Command, pairs: Path, vgg_file: Path) -> None:
    state = safetensors.torch.load_file(vgg_file)

    def refused(path: Path) -> str:
        said = refusal(1, train, run_bundle, pairs, "model_2", vgg_weights=str(path))
        assert nothing_left(pairs.parent / "out")
        return said

    name = "features.0.weight"
    path = pairs.parent / "shape.safetensors"
    safetensors.torch.save_file({**state, name: state[name][:, :1].contiguous()}, path)
    said = refused(path)
    assert f"{path}: not the weights of vgg16" in said
    assert f"{name} is [64, 1, 3, 3], the network has [64, 3, 3, 3]" in said
    path = pairs.parent / "torn.safetensors"
    path.write_bytes(vgg_file.read_bytes()[:5000])
    assert f"{path}: truncated" in refused(path)
    path = pairs.parent / "torn.pth"
    torch.save(state, path)
    path.write_bytes(path.read_bytes()[:5000])
    assert f"{path}: truncated" in refused(path)
    assert "none.pth" in refused(pairs.parent / "none.pth")


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_no_weights_of_vgg_and_no_network(
    run_bundle: Command, pairs: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    asked = []

    def unreachable(request: urllib.request.Request, *args: object, **keys: object) -> None:
        asked.append(request.full_url)
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setenv("TORCH_HOME", str(pairs.parent / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.delenv(vgg_variable("vgg16"))
    monkeypatch.setattr(torch.hub, "urlopen", unreachable)
    said = refusal(1, train, run_bundle, pairs, "model_2", vgg=name)
    assert asked == [VGG_ADDRESSES[name]]
    for words in (VGG_ADDRESSES[name], str(pairs.parent / "torch" / "hub"), vgg_variable(name), "vgg_weights"):
        assert words in said
    assert nothing_left(pairs.parent / "out")
    assert not [path for path in (pairs.parent / "torch").rglob("*") if path.is_file()]


def colourful(path: Path) -> None:
    channels = [np.asarray(picture(seed=seed)) for seed in (1, 2, 3)]
    Image.fromarray(np.stack(channels, axis=-1)).save(path)


def test_a_colour_picture_is_enlarged_as_grey_with_a_word(
    run_bundle: Command, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    colourful(tmp_path / "colour.png")
    Image.open(tmp_path / "colour.png").convert("L").save(tmp_path / "grey.png")
    for name in ("colour", "grey"):
        with caplog.at_level(logging.WARNING):
            run_bundle(
                BUNDLE, "inference", "inference", input=str(tmp_path / f"{name}.png"), output_dir=str(tmp_path / "out")
            )
    assert [r.getMessage() for r in caplog.records if "luminance" in r.getMessage()] == [
        f"{tmp_path / 'colour.png'}: a colour picture; its luminance is used"
    ]
    with Image.open(tmp_path / "out" / "colour_sr.png") as one, Image.open(tmp_path / "out" / "grey_sr.png") as two:
        assert one.mode == "L"
        assert np.array_equal(np.asarray(one), np.asarray(two))


def test_a_colour_picture_in_training_data_has_a_word(
    run_bundle: Command, pairs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    colourful(pairs / "train" / "bssfp" / "P0_1.png")
    with caplog.at_level(logging.WARNING):
        train(run_bundle, pairs)
    assert f"{pairs / 'train' / 'bssfp' / 'P0_1.png'}: a colour picture; its luminance is used" in caplog.messages


@pytest.mark.slow
def test_training_needs_no_data_of_ones_own(
    run_bundle: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    short = {"max_epochs": 1, "patches_per_epoch": 8, "batch_size": 4, "patch_size": [32, 32]}
    run_bundle(BUNDLE, "training", "train", output_dir=str(tmp_path / "out"), **short)
    assert (tmp_path / "out" / "model.pt").is_file()
    assert len(list((tmp_path / "cache").rglob("synthetic-*_sa.nii.gz"))) == 6
