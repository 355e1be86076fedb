from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np

from custom.evaluation.heat_map import heat_map


def test_gains_are_blue_losses_red_and_nothing_is_white(tmp_path: Path) -> None:
    values = [[3.0, -3.0], [0.0, 30.0]]
    path = heat_map(tmp_path / "made" / "map.png", values, ["one", "two"], ["spline", "model"], "title")
    image = matplotlib.image.imread(path)[..., :3]
    height, width = image.shape[:2]
    # The cells lie at the lower right; their upper left corners hold no text.
    right, bottom = width - 0.15 * 150, height - 0.15 * 150
    corners = {
        (row, column): image[int(bottom - (2 - row) * 37.5 + 8), int(right - (2 - column) * 142.5 + 10)]
        for row in (0, 1)
        for column in (0, 1)
    }
    assert corners[0, 0][2] > 2 * corners[0, 0][0]
    assert corners[0, 1][0] > 2 * corners[0, 1][2]
    assert corners[1, 0].min() > 0.95
    np.testing.assert_allclose(corners[1, 1], corners[0, 0])  # no gain makes the others pale
