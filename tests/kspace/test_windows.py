from __future__ import annotations

import math

import pytest
import torch

from custom.errors import UsageError
from custom.kspace import WINDOWS, frequency_window

LINES = torch.linspace(-1.2, 1.2, 25, dtype=torch.float64)


@pytest.mark.parametrize("name", WINDOWS)
def test_every_window_is_one_at_the_centre_falls_outwards_and_ends_at_the_edge(name: str) -> None:
    weights = frequency_window(LINES, name, 0.8)
    assert weights[12] == pytest.approx(1.0, abs=1e-12)
    torch.testing.assert_close(weights, weights.flip(0))
    assert (weights[12:].diff() <= 1e-12).all()
    assert (weights[LINES.abs() > 1.001] == 0).all()
    torch.testing.assert_close(frequency_window(LINES, name, 0.0), (LINES.abs() <= 1.0 + 1e-6).double())


def test_windows_have_the_values_of_their_formulas() -> None:
    at = torch.tensor([0.5, 1.0], dtype=torch.float64)
    assert frequency_window(at, "hamming").tolist() == pytest.approx([0.54, 0.08])
    assert frequency_window(at, "tukey", 0.5).tolist() == pytest.approx([1.0, 0.0])
    assert frequency_window(torch.tensor(0.75), "tukey", 0.5).item() == pytest.approx(0.5)
    # Half of its height at the radius 1 - 0.15.
    assert frequency_window(torch.tensor(0.85), "fermi").item() == pytest.approx(0.5, rel=1e-6)
    assert frequency_window(at, "fermi")[1].item() == pytest.approx(1 / (1 + math.exp(3)), rel=1e-6)


@pytest.mark.parametrize(("name", "strength"), [("hann", 1.0), ("tukey", 1.5), ("fermi", -0.1)])
def test_what_is_no_window_is_refused(name: str, strength: float) -> None:
    with pytest.raises(UsageError, match="window"):
        frequency_window(LINES, name, strength)
