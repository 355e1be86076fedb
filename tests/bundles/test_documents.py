"""The commands that README and the model cards print, run as written on tiny data or checked key by key."""

from __future__ import annotations

import inspect
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import pytest
from bundle_cases import BUNDLES, CASES, Command
from fire.parser import DefaultParseValue
from monai.bundle import run as monai_run
from tiny_scans import AFFINE, tiny_volume

ROOT = BUNDLES.parent
CARDS = {bundle.name: bundle / "docs" / "README.md" for bundle in sorted(BUNDLES.iterdir()) if bundle.is_dir()}
# README's own commands are meant for any bundle's folder; they are tried in the first one.
PAGES = {"README": (CASES[0].name, ROOT / "README.md"), **{name: (name, card) for name, card in CARDS.items()}}

# Keys of a real training, made short.
LONG = {"max_epochs", "patches_per_epoch", "batch_size", "patch_size", "val_interval"}


def _lines(page: Path) -> list[str]:
    blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [part for block in blocks for line in block.splitlines() for part in line.split(" && ")]


def _commands() -> Iterator[tuple[str, str]]:
    for page, (_, path) in PAGES.items():
        for line in dict.fromkeys(_lines(path)):
            if "monai.bundle run" in line:
                yield page, line


def _parsed(line: str) -> tuple[str, list[str], dict[str, str]]:
    """Split a command into its id, its config files and its other keys."""
    words = shlex.split(line.split("monai.bundle run ", 1)[1])
    keys = {key.removeprefix("--"): value for key, value in zip(words[1::2], words[2::2], strict=True)}
    assert all(word.startswith("--") for word in words[1::2]), line
    files = keys.pop("config_file")
    return words[0], [f.strip("[]'") for f in files.split(",")], keys


def _config(bundle: str, files: list[str]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for file in files:
        merged |= json.loads((BUNDLES / bundle / file).read_text())
    return merged


@pytest.mark.parametrize(("page", "line"), list(_commands()))
def test_files_ids_and_keys_of_a_printed_command_exist(page: str, line: str) -> None:
    bundle, _ = PAGES[page]
    run_id, files, keys = _parsed(line)
    assert not [file for file in files if not (BUNDLES / bundle / file).is_file()]
    config = _config(bundle, files)
    assert run_id in config
    known = config.keys() | set(inspect.signature(monai_run).parameters)
    assert not [key for key in keys if re.split("#|::", key)[0] not in known]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "line"),
    # The other commands with torchrun, and the main job of the README, are run by tests/end_to_end.
    [(page, line) for page, line in _commands() if "torchrun" not in line and ".venv" not in line],
)
def test_a_printed_command_runs(
    run_bundle: Command,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    page: str,
    line: str,
) -> None:
    bundle, _ = PAGES[page]
    case = next((case for case in CASES if case.name == bundle), None)
    if case is None:
        pytest.skip(f"{bundle} has no line in tests/bundle_cases.py")
    run_id, files, keys = _parsed(line)
    data = request.getfixturevalue(case.dataset)
    nib.save(nib.Nifti1Image(tiny_volume(0), AFFINE), tmp_path / "scan.nii.gz")
    meant = {"PATH": str(tmp_path / "scan.nii.gz"), "D": data["dataset_dir"], "M": data["data_manifest"]}
    meant |= {name: str(tmp_path / name) for name in ("DIR", "O", "P", "Q")}
    options: dict[str, Any] = {
        key: meant.get(value, DefaultParseValue(value)) for key, value in keys.items() if key not in LONG
    }
    if str(options.get("checkpoint")).startswith("O/"):  # of the command before
        options["checkpoint"] = str(BUNDLES / bundle / "models" / f"{_config(bundle, files)['model_name']}.pt")
    if "data_manifest" in options:
        options["data_manifest"] = data["data_manifest"]
    if run_id == "training":
        options |= {**case.short, "max_epochs": 1}
    monkeypatch.chdir(BUNDLES / bundle)
    run_bundle(bundle, run_id, *(Path(file).stem for file in files), **options)
    made = {
        "training": "last.pt",
        "fitting": "wiener.pt",
        "evaluating": "table.md",
        "inference": "scan_sr.nii.gz",
    }[run_id]
    made = "robustness.md" if "configs/robustness.json" in files else made
    assert (Path(options["output_dir"]) / made).is_file()


@pytest.mark.parametrize("page", PAGES)
def test_keys_that_a_page_mentions_exist(page: str) -> None:
    bundle, path = PAGES[page]
    prose = re.sub(r"^```\w*\n.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    mentioned = set(re.findall(r"`--(\w+)[^`]*`", prose))
    assert mentioned or page != "README"
    files = [f"configs/{name}.json" for name in ("train", "evaluate", "robustness", "inference")]
    known = _config(bundle, files).keys() | {"config_file"}
    assert not mentioned - known - set(inspect.signature(monai_run).parameters)


def test_every_bundle_has_its_line_in_the_table() -> None:
    assert [case.name for case in CASES if case.name not in CARDS] == []
    trained = [name for name in CARDS if (BUNDLES / name / "models" / "model.pt").is_file()]
    assert not set(trained) - {case.name for case in CASES}


def test_commands_that_are_not_of_bundles_are_known() -> None:
    """What stands in the blocks beside bundle commands is tested elsewhere; a new one wants a test."""
    known = ("python3 -m venv", ".venv/bin/", "cd bundles/", "MLFLOW_DISABLE_TELEMETRY=true")
    lines = [line for _, path in PAGES.values() for line in _lines(path) if "monai.bundle run" not in line]
    assert not [line for line in lines if line.strip() and not line.startswith(known)]
