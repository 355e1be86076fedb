from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from custom.evaluation import inference_picture


def panels(images, **keys):
    """The three columns of the picture, in grey."""
    picture = Image.open(io.BytesIO(inference_picture(images, keys.get("affine"), -1, "brain.nii")))
    grey = np.asarray(picture.convert("L")).astype(int)
    return [grey[100:, start : start + 400] for start in (15, 435, 855)]


def test_input_cubic_and_result_stand_side_by_side_in_one_window():
    image = torch.rand(1, 1, 40, 30, 6, generator=torch.Generator().manual_seed(0))
    same = panels(dict.fromkeys(("input", "cubic", "result"), image))
    assert np.array_equal(same[0], same[1])
    assert np.array_equal(same[0], same[2])
    darker = panels({"input": 0.5 * image, "cubic": image, "result": image})
    inside = same[0] < 250
    assert np.abs(darker[0][inside] - same[0][inside] / 2).max() <= 2
    assert np.array_equal(darker[1], same[1])


def test_the_window_ends_at_the_brightest_pixel_of_cubic():
    image = torch.linspace(0, 1, 1200).reshape(1, 1, 40, 30, 1).expand(-1, -1, -1, -1, 6)
    cubic, result = panels({"input": image, "cubic": image, "result": 2 * image})[1:]
    assert np.median(cubic[100:300, 100:300]) == pytest.approx(255 / 2, abs=30)
    assert np.abs(result - np.minimum(255, 2 * cubic))[:200].max() <= 4
