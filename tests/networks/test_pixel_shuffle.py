from __future__ import annotations

import pytest
import torch
from monai.networks.utils import pixelshuffle
from torch import nn

from custom.errors import UsageError
from custom.networks import PixelShuffle, initialise_icnr


@pytest.mark.parametrize(("dims", "scale"), [(2, 2), (2, 3), (3, 2), (3, 3)])
def test_agrees_with_monai(dims, scale):
    image = torch.rand(2, 2 * scale**dims, *(4, 3, 5)[:dims])
    assert torch.equal(PixelShuffle(dims, scale)(image), pixelshuffle(image, dims, scale))


@pytest.mark.parametrize("scale", [2, 3])
def test_icnr_is_nearest_enlargement_of_one_convolution(scale):
    torch.manual_seed(0)
    convolution = nn.Conv3d(4, 2 * scale**3, 3, padding=1)
    initialise_icnr(convolution, scale)
    kernel = convolution.weight.detach()[:: scale**3]
    image = torch.rand(1, 4, 4, 5, 3)
    one = nn.functional.conv3d(image, kernel, padding=1)
    expected = one
    for axis in (2, 3, 4):
        expected = expected.repeat_interleave(scale, dim=axis)
    torch.testing.assert_close(PixelShuffle(3, scale)(convolution(image)), expected)
    # Glorot-uniform with the fans of the one convolution, not of the enlarged one.
    bound = (6 / ((4 + 2) * 27)) ** 0.5
    assert 0.9 * bound < float(kernel.max()) <= bound


def test_what_cannot_be_shuffled_is_refused():
    with pytest.raises(UsageError, match="9 channels cannot be shuffled by 2"):
        initialise_icnr(nn.Conv2d(3, 9, 3), 2)
    with pytest.raises(UsageError, match="spatial_dims is 1"):
        PixelShuffle(1, 2)
