"""Windows, zero filling and mirrored borders of the k-space crop, against numpy's FFT."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from degradation_cases import degrade, random_image
from hypothesis import given
from hypothesis import strategies as st

from custom.degradations import (
    KSpaceCrop,
)
from custom.errors import UsageError


@given(
    n=st.integers(2, 40),
    s=st.integers(2, 5),
    line=st.integers(0, 12),
    pixel_centre=st.booleans(),
    phase=st.floats(0, 3, width=16),
)
def test_kspace_crop_keeps_waves_below_its_edge_halves_them_on_it_and_removes_those_above(
    n: int, s: int, line: int, pixel_centre: bool, phase: float
) -> None:
    size = n * s  # n: the low-resolution size, even and odd
    line = min(line, (size - 1) // 2)
    wave = np.cos(2 * np.pi * line * np.arange(size) / size + phase)
    degradation = KSpaceCrop((1, s), pixel_centre_grid=pixel_centre)
    result = degrade(degradation, wave[None])[0]
    x = s * np.arange(n) + degradation.grid.offset[1]
    weight = 1.0 if 2 * line < n else 0.5 if 2 * line == n else 0.0
    np.testing.assert_allclose(result, weight * np.cos(2 * np.pi * line * x / size + phase), atol=1e-12)


@given(shape_lr=st.tuples(st.integers(1, 12), st.integers(1, 12)), s=st.integers(2, 4), pixel_centre=st.booleans())
def test_kspace_crop_is_the_cropped_fft_of_numpy(shape_lr: tuple[int, int], s: int, pixel_centre: bool) -> None:
    image = random_image(*(n * s for n in shape_lr))
    # Origin at voxel 0, so no shift of the image; frequencies in numpy's order; the shift as a phase of each line.
    spectrum = np.fft.fft2(image)
    for axis, n in enumerate(shape_lr):
        frequency = np.rint(np.fft.fftfreq(n * s) * n * s).astype(int)
        if pixel_centre:
            phase = np.exp(2j * np.pi * frequency * (s - 1) / 2 / (n * s))
            spectrum *= np.expand_dims(phase, 1 - axis)
        by_frequency = {k: np.take(spectrum, i, axis) for i, k in enumerate(frequency)}
        lines = [
            (by_frequency[k] + by_frequency.get(-k, by_frequency[k])) / 2 if 2 * k == -n else by_frequency[k]
            for k in np.rint(np.fft.fftfreq(n) * n).astype(int)
        ]
        spectrum = np.stack(lines, axis)
    expected = np.fft.ifft2(spectrum) / s**2
    assert np.abs(expected.imag).max() < 1e-12
    np.testing.assert_allclose(
        degrade(KSpaceCrop((s, s), pixel_centre_grid=pixel_centre), image), expected.real, atol=1e-12
    )


@given(n=st.integers(1, 12), s=st.integers(2, 4))
def test_plain_kspace_crop_is_the_real_part_of_a_crop_around_the_centre(n: int, s: int) -> None:
    image = random_image(n * s)
    centred = np.fft.fftshift(np.fft.fft(image))
    start = n * s // 2 - n // 2
    expected = np.fft.ifft(np.fft.ifftshift(centred[start : start + n])).real / s
    np.testing.assert_allclose(
        degrade(KSpaceCrop((1, s), pixel_centre_grid=False), image[None])[0], expected, atol=1e-12
    )


def test_a_window_multiplies_the_cropped_k_space() -> None:
    image = np.random.default_rng(0).random(36)
    # Odd, so that there is no Nyquist line: 9 of 36 lines.
    k_space = np.fft.fftshift(np.fft.fft(image))[14:23]
    lines = np.arange(-4, 5)
    window = np.where(abs(lines) * 1.5 <= 4.5, 1 - 0.46 * 0.6 * (1 - np.cos(np.pi * lines * 1.5 / 4.5)), 0.0)
    places = (4 * np.arange(9) + 1.5)[:, None]
    expected = (window * k_space * np.exp(2j * np.pi * lines * places / 36)).sum(1).real / 36
    crop = KSpaceCrop((4, 1), window="hamming", window_strength=0.6, zero_filling=1.5)
    found = crop(torch.from_numpy(image).reshape(1, 1, 36, 1).expand(1, 1, 36, 2))
    np.testing.assert_allclose(found[0, 0, :, 1].numpy(), expected, atol=1e-12)


def test_mirrored_is_the_crop_of_the_image_followed_by_its_mirror_image() -> None:
    image = torch.rand(1, 1, 20, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    options = {"window": "tukey", "window_strength": 0.5, "zero_filling": 1.25}
    twice = torch.cat([image, image.flip(2)], dim=2)
    twice = torch.cat([twice, twice.flip(3)], dim=3)
    expected = KSpaceCrop((4, 4), **options)(twice)[:, :, :5, :6]
    torch.testing.assert_close(KSpaceCrop((4, 4), mirrored=True, **options)(image), expected)


@pytest.mark.parametrize("mirrored", [False, True])
def test_noise_goes_through_the_window_of_its_image(mirrored: bool) -> None:
    crop = KSpaceCrop((2, 1), window="fermi", zero_filling=2.0, mirrored=mirrored)
    matrix = crop.noise_matrix(0, 15)
    assert matrix is not None
    assert crop.noise_matrix(1, 15) is None
    assert KSpaceCrop((2, 1), mirrored=mirrored).noise_matrix(0, 15) is None
    # A window acts on the low-resolution image as it does on noise: degrading is cropping, then this matrix.
    image = torch.rand(1, 1, 30, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    plain = KSpaceCrop((2, 1), mirrored=mirrored)(image)
    torch.testing.assert_close(crop(image), (matrix @ plain[0, 0])[None, None])


@pytest.mark.parametrize("options", [{"window": "hann"}, {"window_strength": 2.0}, {"zero_filling": 0.5}])
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(options)).split("_")[0]):
        KSpaceCrop(4, 2, **options)  # type: ignore[arg-type]
