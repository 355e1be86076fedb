from __future__ import annotations

import logging
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from skimage.data import astronaut
from skimage.filters import gaussian

from custom.arrays.slices import volume_to_slices
from custom.errors import InputError
from custom.metrics import LPIPS, find_lpips, image_metrics
from custom.metrics.lpips import WEIGHTS_VARIABLE


@pytest.fixture
def random_weights(tmp_path):
    """A file with the published keys; half precision, as such files often are."""
    torch.manual_seed(0)
    state = {}
    for key, value in LPIPS().state_dict().items():
        name = f"lin{key[6:]}.model.1.weight" if key.startswith("heads.") else key
        state[name] = torch.rand_like(value) if name.startswith("lin") else value.half()
    path = tmp_path / "lpips.safetensors"
    save_file(state, path)
    return path


@pytest.fixture
def real_weights(shared_data):
    return shared_data / "weights" / "lpips_alex_fp16.safetensors"


def picture(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array).float().permute(2, 0, 1)[None] * 2 - 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda x: gaussian(x, 1, channel_axis=2), 0.1640),
        (lambda x: gaussian(x, 3, channel_axis=2), 0.4567),
        (lambda x: np.roll(x, 1, axis=1), 0.0226),
        (lambda x: x, 0.0),
    ],
)
def test_reference_values(real_weights, change, expected):
    """Values of the published implementation for one photograph; half precision costs less than 2e-4."""
    image = astronaut()[:256, 128:384] / 255.0
    assert float(LPIPS.from_file(real_weights)(picture(change(image)), picture(image))) == pytest.approx(
        expected, abs=2e-4
    )


def test_grey_images_and_volumes_are_read_by_slice(random_weights):
    network = LPIPS.from_file(random_weights)
    torch.manual_seed(1)
    pred, target = torch.rand(2, 1, 1, 40, 36, 3).unbind(0)
    singles = []
    for i in range(3):
        grey = [(2 * x[..., i] - 1).expand(-1, 3, -1, -1) for x in (pred, target)]
        singles.append(float(network(*grey)))
    assert min(singles) > 0
    assert network.of_images(pred, target, slice_axis=-1) == pytest.approx(np.mean(singles), rel=1e-5)
    turned = pred.movedim(-1, 2), target.movedim(-1, 2)
    assert network.of_images(*turned, slice_axis=0) == pytest.approx(np.mean(singles), rel=1e-5)
    stacked = [x[0, 0].movedim(-1, 0)[:, None] for x in (pred, target)]
    assert image_metrics(*stacked, lpips=network)["lpips"] == pytest.approx(np.mean(singles), rel=1e-5)


def test_identical_is_zero_and_too_small_has_no_value(random_weights):
    network = LPIPS.from_file(random_weights)
    image = torch.rand(1, 1, 31, 31)
    assert network.of_images(image, image) == 0
    small = image[..., :30]
    assert math.isnan(network.of_images(small, small))


def test_the_variable_names_the_file(random_weights, monkeypatch):
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(random_weights))
    network = find_lpips()
    assert network is not None
    stored = load_file(random_weights)
    assert torch.equal(network.state_dict()["features.3.weight"], stored["features.3.weight"].float())
    assert torch.equal(network.state_dict()["heads.2"], stored["lin2.model.1.weight"])


def test_without_a_file_one_line_says_how_to_get_it(tmp_path, monkeypatch, caplog):
    monkeypatch.delenv(WEIGHTS_VARIABLE, raising=False)
    with caplog.at_level(logging.INFO):
        assert find_lpips() is None
        monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path / "absent.safetensors"))
        assert find_lpips() is None
    first, second = caplog.messages
    assert WEIGHTS_VARIABLE in first
    assert "custom/metrics/lpips.py" in first
    assert "absent.safetensors" in second


def test_a_wrong_file_is_an_error_that_names_it(tmp_path, random_weights):
    text = tmp_path / "text.safetensors"
    text.write_text("not weights")
    with pytest.raises(InputError, match=r"text\.safetensors.*not a safetensors file"):
        LPIPS.from_file(text)
    state = load_file(random_weights)
    del state["lin4.model.1.weight"]
    lacking = tmp_path / "lacking.safetensors"
    save_file(state, lacking)
    with pytest.raises(InputError, match=r"lacking\.safetensors.*lin4\.model\.1\.weight"):
        LPIPS.from_file(lacking)


def test_lpips_of_frames_is_the_mean_over_all_their_slices():
    torch.manual_seed(0)
    network = LPIPS()
    for head in network.heads:
        head.data.uniform_(0, 1)
    pred, target = torch.rand(2, 1, 3, 33, 34, 2)
    singles = [
        network.of_images(pred[:, t : t + 1, ..., k], target[:, t : t + 1, ..., k]) for t in range(3) for k in range(2)
    ]
    assert len(set(singles)) == 6
    assert network.of_images(pred, target) == pytest.approx(np.mean(singles), rel=1e-5)
    slices = [volume_to_slices(image) for image in (pred, target)]
    assert network.of_images(*slices) == pytest.approx(np.mean(singles), rel=1e-5)
