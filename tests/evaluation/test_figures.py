from __future__ import annotations

import numpy as np
from PIL import Image

from custom.evaluation.figures import BACKGROUND, dark_figure, method_title, save_figure


def test_a_figure_is_dark_and_of_its_size(tmp_path):
    path = save_figure(dark_figure(2.0, 1.0), tmp_path / "new" / "a.png")
    with Image.open(path) as picture:
        assert picture.size == (300, 150)
        assert (np.asarray(picture.convert("RGB")) == tuple(bytes.fromhex(BACKGROUND[1:]))).all()


def test_networks_keep_their_names():
    assert [method_title(name) for name in ("zero_filled", "model_3")] == ["Zero-filled", "model_3"]
