from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from custom.degradations import AreaMean, KSpaceCrop, Sharpened
from custom.errors import UsageError


def test_sharpening_is_unsharp_masking_along_each_axis() -> None:
    image = torch.rand(1, 1, 24, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = AreaMean(2, 2)(image)[0, 0].numpy()
    for axis in (0, 1):
        blurred = ndimage.gaussian_filter1d(expected, 1.2, axis=axis, mode="reflect")
        expected = expected + 0.7 * (expected - blurred)
    found = Sharpened(AreaMean(2, 2), amount=0.7, sigma=1.2)(image)
    np.testing.assert_allclose(found[0, 0].numpy(), expected, atol=1e-12)


def test_noise_is_sharpened_after_the_window_of_the_scanner() -> None:
    crop = KSpaceCrop((2, 1), window="hamming")
    sharpened = Sharpened(crop, amount=0.5)
    window, both = crop.noise_matrix(0, 12), sharpened.noise_matrix(0, 12)
    alone = Sharpened(KSpaceCrop((2, 1)), amount=0.5).noise_matrix(0, 12)
    assert window is not None
    assert both is not None
    assert alone is not None
    torch.testing.assert_close(both, alone @ window)
    assert sharpened.noise_matrix(1, 12) is None


@pytest.mark.parametrize("options", [{"amount": -0.1}, {"sigma": 0.0}])
def test_what_does_not_sharpen_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="Sharpened"):
        Sharpened(AreaMean(2, 2), **options)
