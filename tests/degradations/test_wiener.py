"""The Wiener filter, against least squares, the dense linear estimator and closed forms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from degradation_cases import noise
from torch import Tensor

from custom.degradations import AreaMean, BicubicGaussian, WienerUpsampler, wiener_statistics
from custom.errors import UsageError


def smooth_images(count: int, *shape: int) -> Tensor:
    """Random images whose spectrum falls, (count, 1, *shape)."""
    white = torch.fft.rfft2(noise(count, 1, *shape))
    rows, columns = torch.fft.fftfreq(shape[0])[:, None], torch.fft.rfftfreq(shape[1])
    return torch.fft.irfft2(white / (0.02 + rows**2 + columns**2) ** 1.5, s=shape)


def test_weights_are_those_of_least_squares() -> None:
    """Against numpy: windows cut one by one, the noise as further rows, the sum of the weights by substitution."""
    degradation, deviation, width = AreaMean((2, 3)), 0.3, 3
    hr = smooth_images(2, 9, 13)  # not a multiple of the scale
    lr = degradation(hr)
    rows, truth = [], []
    for image, target in zip(lr[:, 0].numpy(), hr[:, 0].numpy(), strict=True):
        padded = np.pad(image, 1, mode="symmetric")
        for i, j in itertools.product(range(4), range(4)):  # the last voxels stand for fewer
            rows.append(padded[i : i + 3, j : j + 3].ravel())
            truth.append(target[2 * i : 2 * i + 2, 3 * j : 3 * j + 3].ravel())
    rows, truth = np.array(rows), np.array(truth)
    # The last weight is 1 less the others, so that they sum to 1.
    matrix = np.concatenate([rows, deviation * np.sqrt(len(rows)) * np.eye(9)])
    right = np.concatenate([truth, np.zeros((9, 6))]) - matrix[:, -1:]
    expected = np.linalg.lstsq(matrix[:, :-1] - matrix[:, -1:], right, rcond=None)[0].T
    statistics = wiener_statistics([(lr, hr)], (2, 3), width)
    filters = WienerUpsampler(statistics, (2, 3), deviation).filters.reshape(6, 9).numpy()
    np.testing.assert_allclose(filters[:, :-1], expected, atol=1e-5)


def test_error_is_that_of_the_dense_estimator_for_a_known_process() -> None:
    """Lines of a first-order autoregressive process, of which every second voxel mean is seen."""
    memory, size = 0.9, 40
    lags = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    covariance = memory**lags
    mean = np.kron(np.eye(size // 2), [[0.5, 0.5]])
    gain = covariance @ mean.T @ np.linalg.inv(mean @ covariance @ mean.T)
    best = np.diag(covariance - gain @ mean @ covariance)[size // 2]
    steps = noise(1, 40_000).numpy()[0] * np.sqrt(1 - memory**2)
    line = np.zeros(len(steps))
    for i in range(1, len(line)):
        line[i] = memory * line[i - 1] + steps[i]
    hr = torch.from_numpy(line).reshape(20, 1, 1, -1)
    degradation = AreaMean((1, 2))
    lr = degradation(hr)
    enlarged = WienerUpsampler(wiener_statistics([(lr, hr)], (1, 2), 7), (1, 2))(lr)
    assert float(((enlarged - hr) ** 2).mean()) == pytest.approx(best, rel=0.03)
    assert float(((degradation.upsample(lr, "cubic") - hr) ** 2).mean()) > 1.05 * best


def test_noise_on_flat_images_is_averaged_over_the_neighbourhood() -> None:
    """Where the signal is flat, the mean of all voxels is the best estimate."""
    flat = noise(20, 1, 1, 1).expand(-1, -1, 4, 4)
    statistics = wiener_statistics([(AreaMean(2, 2)(flat), flat)], (2, 2), 3)
    filters = WienerUpsampler(statistics, (2, 2), noise=0.1).filters
    torch.testing.assert_close(filters, torch.full((4, 1, 3, 3), 1 / 9))


@pytest.mark.parametrize("scale", [(2, 3), (2, 1, 3)])
def test_each_phase_lies_in_its_place(scale: tuple[int, ...]) -> None:
    """Fitted to ramps, it continues any ramp: along each axis of its own scale, images and channels by themselves."""
    shape = [n * s for n, s in zip((8, 9, 7), scale, strict=False)]
    axes = torch.meshgrid(*(torch.linspace(-1, 1, n, dtype=torch.float64) for n in shape), indexing="ij")
    ramps = sum(noise(12, 2, *[1] * len(scale), seed=i) * axis for i, axis in enumerate(axes))
    degradation = AreaMean(scale)
    inner = (..., *[slice(2 * s, -2 * s) if s > 1 else slice(2, -2) for s in scale])
    fitted = WienerUpsampler(wiener_statistics([(degradation(ramps), ramps)], scale, 3), scale)
    others = (ramps.flip(1) + 0.5 * ramps)[:2]
    enlarged = fitted(degradation(others))
    assert enlarged.shape == others.shape
    torch.testing.assert_close(enlarged[inner], others[inner].float(), atol=0.05, rtol=0)


def test_flat_stays_flat_and_a_blur_is_undone() -> None:
    degradation = BicubicGaussian(4, 2)
    hr = smooth_images(6, 64, 64)
    lr = degradation(hr)
    fitted = WienerUpsampler(wiener_statistics([(lr[:5], hr[:5])], (4, 4), 9), (4, 4))
    flat = torch.full((1, 1, 7, 5), 1000.0)
    torch.testing.assert_close(fitted(flat), torch.full((1, 1, 28, 20), 1000.0), atol=0.05, rtol=0)
    unseen, truth = lr[5:], hr[5:]
    errors = [float(((x - truth) ** 2).mean()) for x in (fitted(unseen), degradation.upsample(unseen, "spline"))]
    assert errors[0] < 0.5 * errors[1]


def test_what_cannot_be_fitted_is_refused() -> None:
    pair = (torch.ones(1, 1, 2, 2), torch.ones(1, 1, 4, 4))
    with pytest.raises(UsageError, match="odd number"):
        wiener_statistics([pair], (2, 2), 4)
    with pytest.raises(UsageError, match="no images"):
        wiener_statistics([], (2, 2), 3)
    with pytest.raises(UsageError, match="above 0"):
        WienerUpsampler(wiener_statistics([pair], (2, 2), 3), (2, 2), noise=0)
