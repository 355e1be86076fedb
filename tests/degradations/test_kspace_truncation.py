from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy.fft import dctn, idctn

from custom.degradations import KSpaceTruncation
from custom.errors import UsageError


@pytest.mark.parametrize("fraction", [0.25, 0.5, 1 / 3])
def test_it_is_a_sharp_cut_of_the_cosine_transform(fraction: float) -> None:
    """The transform of an image with its mirror image is the cosine transform, here by scipy."""
    image = torch.rand(1, 1, 24, 30, dtype=torch.float64)
    coefficients = dctn(image[0, 0].numpy(), norm="ortho")
    rows, columns = (int(fraction * n + 1e-9) + 1 for n in image.shape[2:])
    coefficients[rows:] = 0
    coefficients[:, columns:] = 0
    expected = torch.from_numpy(idctn(coefficients, norm="ortho"))
    torch.testing.assert_close(KSpaceTruncation(fraction, 2)(image)[0, 0], expected)


def test_only_chosen_axes_lose_resolution() -> None:
    image = torch.rand(1, 1, 12, 8, 10)
    truncated = KSpaceTruncation([1.0, 0.5, 1.0])(image)
    assert not torch.allclose(truncated, image, atol=0.01)
    torch.testing.assert_close(truncated.mean(3), image.mean(3))
    assert torch.equal(KSpaceTruncation(1.0, 3)(image), image)


def test_noise_has_no_more_resolution_than_the_image() -> None:
    truncation = KSpaceTruncation([0.5, 1.0], window="fermi")
    assert truncation.noise_matrix(1, 16) is None
    torch.testing.assert_close(truncation.noise_matrix(0, 16), truncation.axis_matrix(0, 16))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0.0, 3), "fraction"),
        ((1.5, 3), "fraction"),
        ((["a", 1.0],), "fraction"),
        ((0.5,), "spatial_dims"),
        ((0.5, 3, "hann"), "window"),
        ((0.5, 3, "tukey", 2.0), "window_strength"),
    ],
)
def test_arguments_that_make_no_sense_are_named(arguments: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        KSpaceTruncation(*arguments)
