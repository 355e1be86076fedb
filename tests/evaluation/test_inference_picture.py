from __future__ import annotations

import io

import numpy as np
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
