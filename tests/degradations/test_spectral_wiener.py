"""The Wiener filter of a blur, against dense linear algebra and closed forms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from degradation_cases import noise
from scipy.fft import dct, idctn

from custom.degradations import AreaMean, GaussianBlur, SpectralWiener, power_spectrum
from custom.errors import UsageError


def images_of_known_power(count: int, size: int) -> torch.Tensor:
    """White coefficients weighed so that the power falls as 1 / (1 + (10 f)^4)."""
    f = np.arange(size) / (2 * size)
    weights = 1 / np.sqrt(1 + (10 * np.hypot(f[:, None], f)) ** 4)
    return torch.stack(
        [torch.from_numpy(idctn(weights * image.numpy(), norm="ortho")) for image in noise(count, size, size)]
    )[:, None]


def test_the_spectrum_is_that_of_the_images() -> None:
    spectrum = power_spectrum([images_of_known_power(200, 40)]).numpy()
    middle = (np.arange(180) + 0.5) * np.sqrt(0.5) / 180
    filled = spectrum > 0
    expected = 1 / (1 + (10 * middle) ** 4)
    assert np.median(np.abs(spectrum[filled] / expected[filled] - 1)) < 0.1


def test_it_is_the_dense_estimator_of_a_known_covariance() -> None:
    """Against E[x y^T] E[y y^T]^-1 for images whose covariance is diagonal in the basis of the cosine transform."""
    size, deviation = 8, 0.05
    blur = GaussianBlur((1.0, 0.7))
    spectrum = torch.from_numpy(1 / (1 + np.arange(180.0)))
    wiener = SpectralWiener(spectrum, blur, deviation)
    basis = dct(np.eye(size), axis=0, norm="ortho")
    f = np.hypot(*np.meshgrid(np.arange(size), np.arange(size), indexing="ij")) / (2 * size)
    power = np.interp(f / (np.sqrt(0.5) / 180) - 0.5, np.arange(180), spectrum.numpy())
    both = np.kron(basis, basis)
    covariance = both.T @ np.diag(power.ravel()) @ both
    matrix = np.kron(blur.axis_matrix(0, size).numpy(), blur.axis_matrix(1, size).numpy())
    gain = covariance @ matrix.T @ np.linalg.inv(matrix @ covariance @ matrix.T + deviation**2 * np.eye(size**2))
    image = noise(1, 1, size, size)
    image -= image.mean()  # the mean is kept as it is
    expected = (gain @ image.flatten().numpy()).reshape(size, size)
    np.testing.assert_allclose(wiener(image)[0, 0].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("axes", [2, 3])
def test_flat_images_stay_and_waves_come_back(axes: int) -> None:
    blur = GaussianBlur(2.0, axes)
    wiener = SpectralWiener(torch.ones(180), blur, 1e-4)
    flat = torch.full((2, 3, *[12] * axes), 0.7)
    torch.testing.assert_close(wiener(flat), flat)
    n = torch.arange(24.0)
    wave = torch.cos(np.pi * 3 * (n + 0.5) / 24).expand(1, 1, *[24] * axes)
    assert (blur(wave) - wave).abs().max() > 0.1
    torch.testing.assert_close(wiener(blur(wave)), wave, atol=1e-3, rtol=0)


def test_more_noise_means_less_sharpening() -> None:
    images = images_of_known_power(4, 32)
    spectrum, blur = power_spectrum([images]), GaussianBlur(1.5, 2)
    errors = {}
    for deviation, assumed in itertools.product((0.001, 0.1), (0.001, 0.1)):
        blurred = blur(images) + deviation * noise(*images.shape, seed=3)
        sharpened = SpectralWiener(spectrum, blur, assumed)(blurred)
        errors[deviation, assumed] = float((sharpened - images).square().mean())
    assert errors[0.001, 0.001] < 0.5 * errors[0.001, 0.1]
    assert errors[0.1, 0.1] < 0.5 * errors[0.1, 0.001]


def test_what_it_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="keeps the grid"):
        SpectralWiener(torch.ones(180), AreaMean(2, 2))
    with pytest.raises(UsageError, match="noise"):
        SpectralWiener(torch.ones(180), GaussianBlur(1.0, 2), 0.0)
    with pytest.raises(UsageError, match="no images"):
        power_spectrum([])
