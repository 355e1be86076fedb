"""Windows, zero filling and mirrored borders of the k-space crop, against numpy's FFT."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from degradation_cases import degrade, noise, random_image
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from custom.degradations import KSpaceCrop, SeparableDegradation, Sharpened
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


@given(n=st.integers(1, 12), s=st.integers(2, 4), part=st.sampled_from([0.55, 0.625, 0.75, 0.875]))
def test_partial_fourier_leaves_out_the_lines_of_one_end(n: int, s: int, part: float) -> None:
    image = random_image(n * s) + 1j * random_image(n * s, seed=1)
    # An even axis has its Nyquist line at the end that is left out.
    lines = np.array([k for k in range(-((n - 1) // 2), (n + 1) // 2) if k >= (1 - 2 * part) * n / 2 - 1e-9])
    places = (s * np.arange(n) + (s - 1) / 2)[:, None]
    expected = (np.fft.fft(image)[lines] * np.exp(2j * np.pi * lines * places / (n * s))).sum(1) / (n * s)
    crop = KSpaceCrop((1, s), partial_fourier=part, phase_encoding="j")
    np.testing.assert_allclose(degrade(crop, image[None])[0], expected, atol=1e-12)


def test_real_images_lose_half_of_what_was_measured_on_one_side_only() -> None:
    """The conjugate symmetry on which homodyne reconstruction is built."""
    image = torch.rand(1, 1, 36, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = KSpaceCrop((4, 1), partial_fourier=0.75)(torch.complex(image, torch.zeros_like(image)))
    spectrum = np.fft.fft(image[0, 0].numpy(), axis=0)
    lines = np.arange(-4, 5)
    weights = np.where(abs(lines) <= 2, 1.0, 0.5)[:, None]
    waves = np.exp(2j * np.pi * lines * (4 * np.arange(9) + 1.5)[:, None] / 36) / 36
    np.testing.assert_allclose(found[0, 0].real.numpy(), (waves @ (weights * spectrum[lines])).real, atol=1e-12)
    assert found.imag.abs().max() > 0.01


PARTIAL: dict[str, Callable[[tuple[int, ...]], SeparableDegradation]] = {
    "plain": lambda scale: KSpaceCrop(scale, partial_fourier=0.75, phase_encoding="j"),
    "filtered": lambda scale: KSpaceCrop(
        scale, window="tukey", zero_filling=1.5, mirrored=True, partial_fourier=0.6, phase_encoding="j"
    ),
    "sharpened": lambda scale: Sharpened(KSpaceCrop(scale, partial_fourier=0.875, phase_encoding="j"), amount=0.7),
}


@pytest.fixture(params=list(PARTIAL))
def partial(request: pytest.FixtureRequest) -> Callable[[tuple[int, ...]], SeparableDegradation]:
    return PARTIAL[request.param]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scale=st.sampled_from([(2, 2), (1, 4), (3, 2, 1)]), sizes=st.tuples(*[st.integers(1, 9)] * 3))
def test_partial_fourier_is_a_linear_operator_of_complex_images_with_its_adjoint(
    partial: Callable[[tuple[int, ...]], SeparableDegradation], scale: tuple[int, ...], sizes: tuple[int, ...]
) -> None:
    degradation, shape = partial(scale), sizes[: len(scale)]
    x, other = (noise(2, 1, *shape, dtype=torch.complex128, seed=seed) for seed in (1, 2))
    lr = degradation(x)
    assert (lr.dtype, lr.shape[2:]) == (x.dtype, degradation.grid.shape_lr(shape))
    torch.testing.assert_close(degradation(2j * x - 3 * other), 2j * lr - 3 * degradation(other))
    y = noise(*lr.shape, dtype=torch.complex128, seed=3)
    back = degradation.adjoint(y, size=shape)
    assert back.shape == x.shape
    torch.testing.assert_close(torch.vdot(y.flatten(), lr.flatten()), torch.vdot(back.flatten(), x.flatten()))
    constant = degradation(torch.full_like(x, 7 - 2j))
    torch.testing.assert_close(constant, torch.full_like(constant, 7 - 2j), rtol=0, atol=1e-12)
    inverse = degradation.pseudo_inverse(shape)
    voxels = torch.eye(x[0].numel(), dtype=torch.complex128).reshape(-1, 1, *shape)
    dense = degradation(voxels).flatten(1).T
    expected = torch.linalg.pinv(dense, rtol=0.05) @ lr.flatten(1).T
    torch.testing.assert_close(inverse(lr).flatten(1).T, expected)


def test_partial_fourier_in_single_precision_and_through_the_noise(
    partial: Callable[[tuple[int, ...]], SeparableDegradation],
) -> None:
    degradation = partial((1, 4))
    x = noise(1, 1, 3, 36, dtype=torch.complex128)
    low = KSpaceCrop((1, 4), mirrored=getattr(degradation, "mirrored", False))(x)
    matrix = degradation.noise_matrix(1, 9)
    assert matrix is not None
    torch.testing.assert_close(degradation(x), low @ matrix.T)
    single = degradation(x.to(torch.complex64))
    assert single.dtype == torch.complex64
    torch.testing.assert_close(single.to(x.dtype), degradation(x), rtol=1e-5, atol=1e-5)


def test_partial_fourier_of_a_real_image_is_refused_with_what_to_do() -> None:
    crop = KSpaceCrop(2, 2, partial_fourier=0.75)
    for call in (crop, crop.adjoint):
        with pytest.raises(UsageError, match=r"partial_fourier=0\.75.*takes complex ones only"):
            call(torch.ones(1, 1, 8, 8))
    assert crop.upsample(torch.ones(1, 1, 8, 8), "zero_filled").dtype == torch.float32
    assert not KSpaceCrop(2, 2, partial_fourier=1.0).needs_complex_images


@pytest.mark.parametrize(
    "options",
    [
        {"window": "hann"},
        {"window_strength": 2.0},
        {"zero_filling": 0.5},
        {"partial_fourier": 0.5},
        {"partial_fourier": 1.1},
        {"phase_encoding": "k"},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(options)).split("_")[0]):
        KSpaceCrop(4, 2, **options)  # type: ignore[arg-type]


def test_partial_fourier_along_an_axis_that_is_not_degraded_is_refused() -> None:
    with pytest.raises(UsageError, match="phase_encoding is 'i', an axis of scale 1"):
        KSpaceCrop((1, 4), partial_fourier=0.75)
