from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from custom.degradations import AreaMean
from custom.errors import UsageError
from custom.inferers import Bounds


def sharpened(image: Tensor) -> Tensor:
    """Twice the contrast about the mean."""
    return 2 * image - image.mean()


def enlarged(image: Tensor, amount: float = 3.0) -> Tensor:
    """Twice as large along the last two axes, with much more contrast."""
    return amount * image.repeat_interleave(2, -2).repeat_interleave(2, -1) - image.mean()


def test_results_end_a_little_below_the_input() -> None:
    image = torch.tensor([[[[0.0, 0.4], [0.6, 1.0]]]])
    # Without the bound 0.0 becomes -0.5; all other values are those of the network.
    expected = torch.tensor([[[[-0.1, 0.3], [0.7, 1.5]]]])
    torch.testing.assert_close(Bounds(0.1, None)(image, sharpened), expected)
    torch.testing.assert_close(Bounds(0.0, None)(image, sharpened), expected.clamp(min=0.0))


@pytest.mark.parametrize("reach", [1, 3])
@pytest.mark.parametrize("shape", [(1, 2, 9, 7), (1, 2, 3, 9, 7)], ids=["images", "volume"])
def test_no_voxel_lies_farther_outside_of_the_voxels_around_it(shape: tuple[int, ...], reach: int) -> None:
    image = torch.rand(shape)
    margin = 0.1 * float(image.max() - image.min())
    result = Bounds(1.0, 0.1, reach)(image, enlarged)
    for row in range(9):
        for column in range(7):
            near = (slice(max(0, row - reach), row + reach + 1), slice(max(0, column - reach), column + reach + 1))
            around = image[(..., *near)].flatten(-2)
            block = enlarged(image)[..., 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            low, high = around.amin(-1)[..., None, None] - margin, around.amax(-1)[..., None, None] + margin
            found = result[..., 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            torch.testing.assert_close(found, torch.maximum(torch.minimum(block, high), low))


def test_a_clean_step_overshoots_by_the_bound_at_most() -> None:
    step = torch.zeros(1, 1, 16, 16)
    step[..., 8:] = 1000.0
    cubic = AreaMean(4, 2).upsampler("cubic")
    bounded = Bounds(overshoot=0.05)(step, cubic)
    assert cubic(step).max() > 1060
    assert float(bounded.max()) == pytest.approx(1050)
    assert float(bounded.min()) == pytest.approx(-20)


@pytest.mark.parametrize("amount", [50.0, -50.0, float("nan")])
@pytest.mark.parametrize("options", [{}, {"reach": None}, {"overshoot": None}])
def test_an_exploded_result_is_not_hidden(options: dict[str, Any], amount: float) -> None:
    image = torch.rand(1, 1, 8, 8)
    exploded = enlarged(image, amount)
    torch.testing.assert_close(Bounds(**options)(image, partial(enlarged, amount=amount)), exploded, equal_nan=True)


def test_without_a_reach_the_bound_holds_for_the_whole_input() -> None:
    image = torch.rand(1, 1, 3, 8, 8)
    low, high = float(image.min()), float(image.max())
    margin = 0.2 * (high - low)
    expected = enlarged(image).clamp(low - margin, high + margin)
    assert not torch.equal(expected, enlarged(image))
    torch.testing.assert_close(Bounds(1.0, 0.2, None)(image, enlarged), expected)


@pytest.mark.parametrize("network", [sharpened, partial(enlarged, amount=2)])
def test_a_shifted_and_scaled_scan_gives_the_shifted_and_scaled_result(network: Any) -> None:
    image = torch.rand(1, 3, 6, 5)
    result = Bounds()(image, network)
    assert result.min() > network(image).min()
    torch.testing.assert_close(Bounds()(5 * image - 2, network), Bounds()(image, network) * 5 - 2)


def test_the_input_is_left_alone() -> None:
    image = torch.rand(1, 1, 4, 4)
    before = image.clone()
    Bounds()(image, lambda x: x * 1.0 - 0.5)
    assert torch.equal(image, before)


def test_gradients_pass() -> None:
    image = torch.rand(1, 1, 4, 4)
    weight = torch.ones((), requires_grad=True)
    Bounds()(image, lambda x: weight * x).sum().backward()
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, image.sum())


@pytest.mark.parametrize("options", [{"floor": -0.1}, {"overshoot": -1.0}, {"reach": 0}])
def test_bounds_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        Bounds(**options)
