from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_cine import RADII, frame

from custom.evaluation.m_mode import Line, line_through, m_mode_picture


def test_a_line_over_time_is_what_lies_on_it():
    frames = torch.arange(2 * 5 * 7).reshape(2, 5, 7).float()
    assert np.array_equal(Line(0, 3, 1, 4).over_time(frames), frames[:, 1:4, 3].T)
    assert np.array_equal(Line(1, 2, 0, 7).over_time(frames), frames[:, 2].T)


def test_an_edge_that_moves_as_a_sine_is_drawn_as_one():
    """The wall's place in the M-mode, half way up, against the radius it was made with."""
    radii = [12 + 3 * math.sin(2 * math.pi * t / 16) for t in range(16)]
    frames = torch.stack([frame(radius) for radius in radii])
    line = line_through(frames)
    centre = (32.0, 34.0)
    assert line.position == pytest.approx(centre[1 - line.axis], abs=1)
    signal = line.over_time(frames)
    level = 0.02 + 0.25 + 0.55 / 2
    for t, radius in enumerate(radii):
        above = np.flatnonzero(signal[:, t] > level)
        low, high = above[0], above[-1]
        before = (level - signal[low - 1, t]) / (signal[low, t] - signal[low - 1, t])
        after = (signal[high, t] - level) / (signal[high, t] - signal[high + 1, t])
        assert (high + after) - (low - 1 + before) == pytest.approx(2 * (radius - 0.5), abs=0.3)


def test_the_line_runs_where_more_moves():
    still = torch.zeros(4, 40, 40)
    for t in range(4):
        still[t, 10 : 20 + 3 * t, 18:22] = 1.0
    assert line_through(still).axis == 0
    assert line_through(still.mT).axis == 1


def test_the_picture_shows_the_truth_first_and_the_errors(tmp_path):
    frames = torch.stack([frame(radius) for radius in RADII])
    same = m_mode_picture(tmp_path / "same.png", {"truth": frames, "model": frames}, "a")
    wrong = m_mode_picture(tmp_path / "wrong.png", {"truth": frames, "model": frames + 0.3}, "a")
    first, second = (np.asarray(Image.open(path).convert("L")).astype(float) for path in (same, wrong))
    half = first.shape[0] // 2
    assert second[half:].mean() > first[half:].mean() + 5
