"""What a run writes down about itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

import custom
from custom.errors import InputError
from custom.run_info import git_revision, versions, write_config


def test_versions_are_those_of_the_imported_packages() -> None:
    found = versions()
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert found["numpy"] == np.__version__
    assert found["custom"] == custom.__version__
    assert set(found) == {"python", "torch", "monai", "ignite", "numpy", "nibabel", "mlflow", "custom"}


def test_config_is_readable_json_whatever_the_command_line_gives(tmp_path: Path) -> None:
    config = {"path": tmp_path, "infinite": float("inf"), "nested": {"tuple": (1, None, True), 3: {"set"}}}
    path = write_config(config, tmp_path / "new" / "folder")
    written = json.loads(path.read_text(), parse_constant=lambda text: pytest.fail(f"{text} is not JSON"))
    assert path == tmp_path / "new" / "folder" / "config.json"
    assert written == {
        "path": str(tmp_path),
        "infinite": "inf",
        "nested": {"tuple": [1, None, True], "3": "{'set'}"},
    }


def test_an_output_folder_that_is_a_file_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(InputError, match=r"file/config\.json.*--output_dir"):
        write_config({}, tmp_path / "file")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "checkout" / "package"
    folder.mkdir(parents=True)
    (folder / "module.py").write_text("")
    identity = ["-c", "user.name=A", "-c", "user.email=a@b.org", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q"], ["add", "package"], [*identity, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", str(folder.parent), *arguments], check=True)
    return folder


def test_revision_is_the_commit_and_says_when_files_differ(checkout: Path) -> None:
    head = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    assert git_revision(checkout) == head
    (checkout / "module.py").write_text("changed = True")
    assert git_revision(checkout) == f"{head}-dirty"


def test_revision_is_none_for_a_folder_that_git_does_not_track(checkout: Path) -> None:
    environment = checkout.parent / "environment"
    environment.mkdir()
    (environment / "installed.py").write_text("")
    assert git_revision(environment) is None


def test_revision_is_none_outside_of_a_checkout_and_without_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_revision(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_revision() is None
