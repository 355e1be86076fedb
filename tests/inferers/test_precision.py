"""In what a network is computed: said by `amp` and the processor, never by how busy it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from custom.errors import InputError
from custom.inferers import Autocast, Precision


def _flags() -> list[str]:
    """What Linux says that the processor can do."""
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        pytest.skip("only Linux says in a file what the processor can do")
    lines = [line.split() for line in path.read_text().splitlines() if line.startswith("flags")]
    return lines[0] if lines else []


@pytest.mark.parametrize(
    ("amp", "name"), [(True, "bfloat16"), ("TRUE", "bfloat16"), (False, "float32"), ("false", "float32")]
)
def test_amp_says_the_precision(amp: bool | str, name: str) -> None:
    assert Precision(amp).name == name


def test_auto_is_bfloat16_where_the_processor_has_instructions_for_it() -> None:
    assert Precision("auto", "cpu").name == ("bfloat16" if "avx512_bf16" in _flags() else "float32")
    assert Precision("auto", torch.device("meta")).name == "float32"


def _other(name: str) -> str:
    return "float32" if name == "bfloat16" else "bfloat16"


@pytest.mark.parametrize("amp", [True, False])
def test_an_earlier_run_decides_what_auto_means_and_nothing_that_was_said(amp: bool) -> None:
    auto, said = Precision("auto"), Precision(amp)
    state = {"cpu": _other(auto.name)}
    auto.load_state_dict(state)
    assert auto.name == state["cpu"]
    assert auto.state_dict() == state
    said.load_state_dict({"cpu": _other(said.name)})
    assert said.name == ("bfloat16" if amp else "float32")


def test_a_run_on_another_kind_of_device_decides_nothing() -> None:
    precision = Precision("auto")
    before = precision.name
    precision.load_state_dict({"cuda": _other(before)})
    precision.load_state_dict({})
    assert precision.name == before


def test_an_unknown_precision_of_a_checkpoint_is_refused() -> None:
    with pytest.raises(InputError, match="float8"):
        Precision("auto").load_state_dict({"cpu": "float8"})


@torch.no_grad()
def test_the_network_runs_in_the_precision_and_the_result_is_float32() -> None:
    kinds: list[torch.dtype] = []
    layer = nn.Conv2d(1, 1, 3)
    layer.register_forward_hook(lambda module, inputs, output: kinds.append(output.dtype))
    image = torch.rand(1, 1, 8, 8)
    results = [Autocast(precision)(image, layer) for precision in (None, Precision(False), Precision(True))]
    assert kinds == [torch.float32, torch.float32, torch.bfloat16]
    assert [result.dtype for result in results] == [torch.float32] * 3
    assert torch.equal(results[0], layer(image))
