from __future__ import annotations

import pytest

from custom.degradations import (
    AreaMean,
    BicubicGaussian,
    GaussianBlur,
    GaussianDecimation,
    KSpaceCrop,
)
from custom.errors import UsageError


@pytest.mark.parametrize("wrong", [0, -2, 2.5, "4", True, None, [4], [2, 2, 2, 2], [2, 0], [2, 2.0]])
def test_wrong_scales_are_refused_with_the_value_received(wrong: object) -> None:
    for make in (AreaMean, BicubicGaussian, GaussianDecimation, KSpaceCrop):
        with pytest.raises(UsageError, match="scale_factor="):
            make(wrong, spatial_dims=None if isinstance(wrong, list) else 2)  # type: ignore[operator]


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf"), "1", True, [1.0], [1.0, 1.0, -1.0]])
def test_wrong_sigmas_are_refused_with_the_value_received(wrong: object) -> None:
    for make in (BicubicGaussian, GaussianDecimation):
        with pytest.raises(UsageError, match=r"sigma="):
            make((2, 2, 2), sigma=wrong)  # type: ignore[operator]
    with pytest.raises(UsageError):
        GaussianBlur(wrong, 3)  # type: ignore[arg-type]


def test_one_number_needs_the_number_of_axes() -> None:
    with pytest.raises(UsageError, match="spatial_dims=None"):
        AreaMean(4)
    with pytest.raises(UsageError, match="spatial_dims=4"):
        GaussianBlur(1.0, 4)
    with pytest.raises(UsageError, match="spatial_dims=3"):
        AreaMean((4, 4), 3)
    with pytest.raises(UsageError, match="sigma_grid='mm'"):
        BicubicGaussian(4, 2, sigma_grid="mm")  # type: ignore[arg-type]
