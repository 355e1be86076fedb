from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from degradation_cases import MaskedCoils, noise
from numpy.typing import NDArray

from custom.degradations import AreaMean, BicubicGaussian, Degradation, SeparableDegradation, SliceBySlice
from custom.errors import UsageError

Factory = Callable[[tuple[int, ...]], Degradation]

CASES = [((4, 4), (8, 8)), ((2, 3), (9, 11)), ((1, 4), (3, 13)), ((2, 2, 2), (4, 5, 3))]


def _dense(degradation: SeparableDegradation, size: tuple[int, ...]) -> NDArray[np.float64]:
    """Give the whole matrix: a column is the degraded image of one voxel."""
    voxels = torch.eye(int(np.prod(size)), dtype=torch.float64).reshape(-1, 1, *size)
    return degradation(voxels).flatten(1).T.numpy()


def _expected(matrix: NDArray[np.float64], lr: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    gains = np.where(values >= 0.05 * values.max(), values / (values**2 + weight), 0)
    image: NDArray[np.float64] = right.T @ (gains * (left.T @ lr))
    return image


@pytest.mark.parametrize(("scale", "size"), CASES)
@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_it_is_that_of_the_whole_matrix(
    factory: Factory, scale: tuple[int, ...], size: tuple[int, ...], weight: float
) -> None:
    degradation = factory(scale)
    assert isinstance(degradation, SeparableDegradation)
    matrix = _dense(degradation, size)
    lr = noise(1, 1, *degradation.grid.shape_lr(size))
    result = degradation.pseudo_inverse(size)(lr, weight)
    assert result.shape == (1, 1, *size)
    expected = _expected(matrix, lr.flatten().numpy(), weight)
    np.testing.assert_allclose(result.flatten().numpy(), expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())
    if weight == 0:
        np.testing.assert_allclose(expected, np.linalg.pinv(matrix, rcond=0.05) @ lr.flatten().numpy(), atol=1e-9)


def test_an_area_mean_is_undone_by_equal_blocks() -> None:
    lr = noise(2, 3, 4, 5)
    inverse = AreaMean(4, 2).pseudo_inverse((16, 20))
    torch.testing.assert_close(inverse(lr), AreaMean(4, 2).upsample(lr, "nearest"))
    assert inverse.kept.all()
    # The squared singular value is 1 / 16: a weight as large halves the image.
    torch.testing.assert_close(inverse(lr, 1 / 16), inverse(lr) / 2)
    assert inverse(lr, torch.inf).abs().max() == 0


def test_what_is_left_out_is_said_and_is_not_in_the_result() -> None:
    degradation = BicubicGaussian(4, 2)
    inverse = degradation.pseudo_inverse((64, 64))
    assert inverse.kept.shape == (16, 16)
    assert 0.3 < inverse.kept.double().mean() < 0.7
    again = degradation(inverse(noise(1, 1, 16, 16)))
    torch.testing.assert_close(degradation(inverse(again)), again)


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64, torch.complex128])
def test_types_are_kept(dtype: torch.dtype) -> None:
    result = AreaMean(2, 2).pseudo_inverse((7, 6))(noise(1, 1, 4, 3, dtype=dtype))
    assert result.dtype == dtype


def test_that_of_slices_is_that_of_their_degradation() -> None:
    lr = noise(1, 1, 4, 5)
    torch.testing.assert_close(
        SliceBySlice(AreaMean(4, 2), 0).pseudo_inverse((16, 18))(lr), AreaMean(4, 2).pseudo_inverse((16, 18))(lr)
    )


def test_a_degradation_without_matrices_has_none() -> None:
    with pytest.raises(UsageError, match=r"MaskedCoils has no pseudo-inverse.*data_consistency has to be off"):
        MaskedCoils().pseudo_inverse((8, 8))
