from __future__ import annotations

import copy
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from custom.errors import InputError, MissingFileError
from custom.storage import sha256
from custom.weights import consistency_limit, load_weights, read_checkpoint, save_checkpoint

BUNDLES = Path(__file__).resolve().parents[2] / "bundles"
STATE = nn.Linear(20, 10).state_dict()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_checkpoint(STATE, tmp_path / "weights.pt")
    return tmp_path / "weights.pt"


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0x40
    path.write_bytes(content)


@pytest.mark.parametrize("bundle", sorted(path.name for path in BUNDLES.iterdir() if path.is_dir()))
def test_all_shipped_weights_have_their_checksum_in_the_metadata(bundle: str) -> None:
    """The others would be read damaged. `sha256sum models/*.pt` in the bundle's folder prints them."""
    weights = json.loads((BUNDLES / bundle / "configs" / "metadata.json").read_text())["weights"]
    assert weights == {path.name: {"sha256": sha256(path)} for path in (BUNDLES / bundle / "models").glob("*.pt")}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    for part in ("configs/metadata.json", "models/model.pt"):
        target = tmp_path / "bundle" / part
        target.parent.mkdir(parents=True)
        shutil.copy(BUNDLES / "brain_mri_espcn" / part, target)
    return tmp_path / "bundle"


def test_a_flipped_byte_anywhere_in_shipped_weights_is_found(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bundle / "models")
    path = Path("model.pt")
    assert "body.0.weight" in read_checkpoint(path)
    size = path.stat().st_size
    for position in [*range(0, size, size // 6), size - 1]:
        flip(path, position)
        with pytest.raises(InputError, match=r"model\.pt: damaged or replaced: its SHA-256"):
            read_checkpoint(path)
        flip(path, position)
    assert "body.0.weight" in read_checkpoint(path)


def test_other_files_in_the_folder_of_a_bundle_are_read_and_broken_metadata_is_named(bundle: Path) -> None:
    shutil.copy(bundle / "models" / "model.pt", bundle / "models" / "mine.pt")
    assert "body.0.weight" in read_checkpoint(bundle / "models" / "mine.pt")
    for text in ("{", "[" * 100_000, '{"weights": 3}'):
        (bundle / "configs" / "metadata.json").write_text(text)
        with pytest.raises(InputError, match=r"metadata\.json: cannot be read"):
            read_checkpoint(bundle / "models" / "model.pt")


def test_a_flipped_byte_in_the_values_of_any_file_is_found(saved: Path) -> None:
    content = saved.read_bytes()
    flip(saved, content.index(STATE["weight"].numpy().tobytes()) + 3)
    torch.load(saved, weights_only=True)  # reads it without a word
    with pytest.raises(InputError, match=r"weights\.pt: damaged: the checksum of .*data/0 is wrong"):
        read_checkpoint(saved)


def rewrite(
    path: Path, compression: int = zipfile.ZIP_STORED, change: Callable[[bytes], bytes] = lambda content: content
) -> None:
    """Write the archive again, with right checksums; `change` is for its pickle."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, change(content) if name.endswith("data.pkl") else content)


def test_archives_that_grow_are_refused_unread(saved: Path) -> None:
    rewrite(saved)
    assert torch.equal(read_checkpoint(saved)["weight"], STATE["weight"])
    with zipfile.ZipFile(saved, "a") as archive:
        archive.filelist += [copy.copy(archive.infolist()[0]) for _ in range(100)]
        archive.writestr("more", b"")
    with pytest.raises(InputError, match="entries claim to be larger than the file"):
        read_checkpoint(saved)
    save_checkpoint(STATE, saved)
    rewrite(saved, zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="its entries are compressed"):
        read_checkpoint(saved)


_KEY = b"\x80\x02}X\x06\x00\x00\x00weight"


@pytest.mark.parametrize(
    "pickled",
    [
        _KEY + 100_000 * b"]" + 99_999 * b"a" + b"s.",  # a list in a list in a list ...
        b"\x80\x02}q\x00X\x07\x00\x00\x00networkh\x00s.",  # a dictionary that holds itself
        b"\x80\x02}q\x00(X\x08\x00\x00\x00networksh\x00X\x09\x00\x00\x00evaluated]u.",  # no name of a network
        _KEY + b"X\xff\xff\xff\x7fx.",  # a text that claims 2 GB
        _KEY + b"(",
        b"\x80\x02cbuiltins\neval\n.",
        b"",
    ],
)
def test_pickles_made_to_break_readers_are_refused_in_words(saved: Path, pickled: bytes) -> None:
    rewrite(saved, change=lambda _: pickled)
    with pytest.raises(InputError, match=r"weights\.pt") as caught:
        load_weights(nn.Linear(20, 10), saved)
    assert caught.value.exit_code == 1


def test_a_tensor_that_claims_more_than_its_entry_is_refused(saved: Path) -> None:
    rewrite(saved, change=lambda pickled: pickled.replace(b"K\xc8t", b"K\xfft"))
    with pytest.raises(InputError, match="truncated, damaged, or not a checkpoint"):
        read_checkpoint(saved)


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


def test_broken_files_are_refused(saved: Path) -> None:
    with pytest.raises(MissingFileError, match="--checkpoint"):
        read_checkpoint(saved.with_name("none.pt"))
    whole = saved.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:-1], b"", b"weights"):
        saved.write_bytes(content)
        with pytest.raises(InputError, match=r"weights\.pt"):
            read_checkpoint(saved)
    safe = saved.with_name("model.safetensors")
    for content in (b"text", (100_000).to_bytes(8, "little") + 100_000 * b"["):
        safe.write_bytes(content)
        with pytest.raises(InputError, match=r"model\.safetensors: truncated"):
            read_checkpoint(safe)
    torch.save(torch.ones(2), saved)
    with pytest.raises(InputError, match="holds a Tensor"):
        read_checkpoint(saved)


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


def test_a_model_without_a_limit_is_named(tmp_path: Path) -> None:
    metadata = tmp_path / "configs" / "metadata.json"
    with pytest.raises(InputError, match=r"metadata\.json: cannot be read"):
        consistency_limit(tmp_path, "model")
    metadata.parent.mkdir()
    for content in ({}, {"consistency_limit": {"limits": {"model_1": 0.5, "model": "small"}}}):
        metadata.write_text(json.dumps(content))
        with pytest.raises(InputError, match="has no consistency_limit for model; give one by --consistency_limit"):
            consistency_limit(tmp_path, "model")
    assert consistency_limit(tmp_path, "model_1") == 0.5
