"""Files of weights that are damaged, are not plain numbers, or hold code."""

from __future__ import annotations

import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from monai.bundle import ConfigParser
from torch import Tensor, nn

from attack_families.attack import ROOT, Attack, WrongError, check_message, command, save_nifti
from custom.errors import InputError
from custom.weights import load_weights, read_checkpoint

__all__ = ["damaged_weights"]

_BUNDLE = ROOT / "bundles" / "brain_mri_espcn"
_SHIPPED = _BUNDLE / "models" / "model.pt"


def _network() -> nn.Module:
    parser = ConfigParser()
    parser.read_config(str(_BUNDLE / "configs" / "inference.json"))
    network: nn.Module = parser.get_parsed_content("network_def")
    return network


def _load(folder: Path, write: Callable[[Path], Path], sound: dict[str, Tensor] | None = None) -> None:
    """Fill a network; where the file is taken, its weights have to be those that were saved."""
    network = _network()
    try:
        load_weights(network, write(folder / "model.pt"))
    except InputError as err:
        check_message(str(err), folder)
        raise
    finally:
        if (folder / "ran").exists():
            raise WrongError("code in the file was run")
    wanted = sound or read_checkpoint(_SHIPPED)
    for name, value in network.state_dict().items():
        if not torch.equal(value, wanted[name].to(value.dtype)):
            raise WrongError(f"{name} was read as something else")


def _flipped(number: int, bit: int) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        content = bytearray(_SHIPPED.read_bytes())
        content[number % len(content)] ^= 1 << bit
        path.write_bytes(bytes(content))
        return path

    return write


def _changed(change: Callable[[dict[str, Any], str], object], which: int = 0) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        content = dict(read_checkpoint(_SHIPPED))
        floating = [name for name, value in content.items() if isinstance(value, Tensor) and value.is_floating_point()]
        change(content, floating[which % len(floating)])
        torch.save(content, path)
        return path

    return write


def _set(make: Callable[[Tensor], Any]) -> Callable[[dict[str, Any], str], object]:
    return lambda content, name: content.update({name: make(content[name])})


def _one(value: float) -> Callable[[Tensor], Tensor]:
    def make(weight: Tensor) -> Tensor:
        changed = weight.contiguous().clone()
        changed.view(-1)[0] = value
        return changed

    return make


class _Payload:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch ran",)


def _code(path: Path) -> Path:
    torch.save({"weight": _Payload()}, path)
    return path


def _plain_pickle(path: Path) -> Path:
    path.write_bytes(pickle.dumps({"weight": _Payload()}))
    return path


def _nested(path: Path) -> Path:
    """A list in a list, 100,000 deep, as a pickle in an otherwise sound file."""
    deep = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", deep)
        archive.writestr("model/version", "3\n")
    return path


def _nested_json(path: Path) -> Path:
    header = b'{"w":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    path = path.with_suffix(".safetensors")
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return path


def _empty(path: Path) -> Path:
    path.touch()
    return path


def _list(path: Path) -> Path:
    torch.save([torch.zeros(3)], path)
    return path


def _metadata(content: str) -> Callable[[Path], Path]:
    """Put a file into a bundle's folder of models, beside metadata that cannot be read."""

    def write(path: Path) -> Path:
        (path.parent / "models").mkdir()
        (path.parent / "configs").mkdir()
        (path.parent / "configs" / "metadata.json").write_text(content)
        return Path(shutil.copy(_SHIPPED, path.parent / "models" / "model.pt"))

    return write


def _safetensors(path: Path) -> Path:
    path = path.with_suffix(".safetensors")
    weights = {name: weight.contiguous() for name, weight in read_checkpoint(_SHIPPED).items()}
    safetensors.torch.save_file(weights, path)
    content = bytearray(path.read_bytes())
    content[8 + int(np.frombuffer(content[:8], "<u8")[0]) + 3] = 0x7F  # 3.4e38 and the like in the first weight
    content[8 + int(np.frombuffer(content[:8], "<u8")[0]) + 2] = 0x80  # infinite
    path.write_bytes(bytes(content))
    return path


def damaged_weights(rng: np.random.Generator) -> Iterator[Attack]:
    """Fill a network with them, and give some to the command."""
    yield Attack("as shipped", _load, (lambda path: Path(shutil.copy(_SHIPPED, path)),), must="result")
    for number in rng.integers(0, 2**31, 60):
        write = _flipped(int(number), int(rng.integers(8)))
        # A bit in what says nothing (padding, a date) may be any.
        yield Attack(f"byte {number} flipped", _load, (write,))
    changes: dict[str, Callable[[dict[str, Any], str], object]] = {
        "sparse": _set(lambda weight: weight.to_sparse()),
        "sparse rows": _set(
            lambda weight: weight.flatten(1).to_sparse_csr() if weight.ndim > 1 else weight.to_sparse()
        ),
        "meta": _set(lambda weight: weight.to("meta")),
        "NaN": _set(_one(float("nan"))),
        "infinite": _set(_one(float("inf"))),
        "too large for float32": _set(lambda weight: _one(1e300)(weight.double())),
        "whole numbers": _set(lambda weight: weight.long()),
        "bytes": _set(lambda weight: weight.to(torch.uint8)),
        "true and false": _set(lambda weight: weight > 0),
        "complex": _set(lambda weight: weight.to(torch.complex64)),
        "quantised": _set(lambda weight: torch.quantize_per_tensor(weight.float(), 0.1, 0, torch.qint8)),
        "another shape": _set(lambda weight: weight[None]),
        "transposed": _set(lambda weight: weight.flip(0)[:-1]),
        "empty": _set(lambda weight: weight[:0]),
        "a list": _set(lambda weight: weight.tolist()),
        "a text": _set(lambda weight: "weight"),
        "none": _set(lambda weight: None),
        "gone": lambda content, name: content.pop(name),
        "one more": lambda content, name: content.update({"more": torch.zeros(3)}),
        "a number as name": lambda content, name: content.update({3: torch.zeros(3)}),  # type: ignore[dict-item]
        "itself": lambda content, name: content.update({"model": content}),
    }
    for what, change in changes.items():
        for which in rng.integers(0, 50, 2):
            write = _changed(change, int(which))
            yield Attack(f"{what} ({which})", _load, (write,), must="refused")
    for what, write in {
        "code": _code,
        "code in a plain pickle": _plain_pickle,
        "a list 100,000 deep": _nested,
        "JSON 100,000 deep": _nested_json,
        "infinite safetensors": _safetensors,
        "metadata 100,000 deep": _metadata('{"weights":' + "[" * 100_000 + "]" * 100_000 + "}"),
        "metadata of another kind": _metadata("[]"),
        "metadata with other weights": _metadata('{"weights": []}'),
        "metadata with a number": _metadata('{"weights": {"model.pt": 3}}'),
        "metadata that is no text": _metadata("\udcff".encode(errors="surrogateescape").decode("latin-1")),
        "an empty file": _empty,
        "a list of tensors": _list,
    }.items():
        yield Attack(what, _load, (write,), must="refused")
    for what, write in {
        "NaN": _changed(_set(_one(float("nan")))),
        "JSON 100,000 deep": _nested_json,
        "code": _code,
    }.items():
        yield Attack(f"{what}, by the command", _infer, (write,), must="refused", seconds=240)


def _infer(folder: Path, write: Callable[[Path], Path]) -> None:
    save_nifti(folder / "a.nii.gz")
    checkpoint = write(folder / "model.pt")
    command(folder, "--input", "a.nii.gz", "--output_dir", "out", "--checkpoint", str(checkpoint))
