"""Each degradation against formulas and against programs that others wrote."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import Tensor

from custom.degradations import (
    AreaMean,
    BicubicGaussian,
    Bilinear,
    Degradation,
    GaussianBlur,
    GaussianDecimation,
    KSpaceCrop,
)

Factory = Callable[[tuple[int, ...]], Degradation]


def random_image(*shape: int, seed: int = 0) -> NDArray[np.float64]:
    image: NDArray[np.float64] = np.random.default_rng(seed).standard_normal(shape)
    return image


def degrade(degradation: Degradation, image: NDArray[np.float64]) -> NDArray[np.float64]:
    return degradation(torch.from_numpy(image)[None, None])[0, 0].numpy()


# --- plane waves -----------------------------------------------------------------------------------------------------


def area_response(f: float, s: int) -> float:
    return float(np.sin(np.pi * f * s) / (s * np.sin(np.pi * f)))


def gaussian_response(f: float, sigma: float) -> float:
    return float(np.exp(-2.0 * (np.pi * f * sigma) ** 2))


def keys_response(f: float) -> float:
    """Keys' kernel, a = -0.5, at f cycles a sample (the Fourier transform of his equation 15)."""
    first = 3.0 * (np.sinc(f) ** 2 - np.sinc(2 * f))
    second = -0.5 * 2.0 * (3.0 * np.sinc(2 * f) ** 2 - 2.0 * np.sinc(2 * f) - np.sinc(4 * f))
    return float((first + second) / (np.pi * f) ** 2)


@pytest.mark.parametrize("s", [2, 3, 4])
@pytest.mark.parametrize("cycles_per_lr_voxel", [0.05, 0.12, 0.2])
def test_plane_wave_keeps_frequency_and_phase_and_is_damped_by_the_transfer_function(
    s: int, cycles_per_lr_voxel: float
) -> None:
    n, phase = 60 * s + 1, 0.7
    f = cycles_per_lr_voxel / s
    wave = np.cos(2 * np.pi * f * np.arange(n) + phase)
    image = np.stack([wave] * 3)
    cases: list[tuple[Degradation, float, float]] = [
        (AreaMean((1, s)), area_response(f, s), 1e-12),
        (Bilinear((1, s)), np.cos(np.pi * f) if s % 2 == 0 else 1.0, 1e-12),
        (GaussianBlur((0.0, 1.5 * s)), gaussian_response(f, 1.5 * s), 2e-4),
        (GaussianDecimation((1, s), sigma=0.8 * s), gaussian_response(f, 0.8 * s), 2e-4),
        # The continuous kernel against its samples: at x2 the coarser sum, so the wider tolerance.
        (BicubicGaussian((1, s), sigma=0.0), keys_response(cycles_per_lr_voxel), 2e-3),
        (BicubicGaussian((1, s)), keys_response(cycles_per_lr_voxel) * gaussian_response(cycles_per_lr_voxel, 1), 2e-3),
        (
            BicubicGaussian((1, s), sigma=1.2, sigma_grid="hr"),
            keys_response(cycles_per_lr_voxel) * gaussian_response(f, 1.2),
            2e-3,
        ),
    ]
    for degradation, response, tolerance in cases:
        scale, offset = degradation.scale_factor[1], degradation.grid.offset[1]
        result = degrade(degradation, image)
        x = scale * np.arange(result.shape[1]) + offset
        inner = slice(12 * s // scale, -12 * s // scale)  # the borders are mirrored
        expected = response * np.cos(2 * np.pi * f * x + phase)
        assert expected[inner].size > 0
        np.testing.assert_allclose(result[1, inner], expected[inner], atol=tolerance, err_msg=str(degradation))


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


# --- where things lie ------------------------------------------------------------------------------------------------


def gaussian_blob(shape: tuple[int, ...], centre: NDArray[np.float64], sigma: NDArray[np.float64]) -> Tensor:
    axes = [np.exp(-0.5 * ((np.arange(n) - c) / w) ** 2) for n, c, w in zip(shape, centre, sigma, strict=True)]
    blob = torch.from_numpy(axes[0])
    for axis in axes[1:]:
        blob = blob[..., None] * torch.from_numpy(axis)
    return blob[None, None]


def centre_of_mass(image: Tensor) -> NDArray[np.float64]:
    spatial = image[0, 0]
    means = []
    for axis in range(spatial.ndim):
        line = spatial.sum([a for a in range(spatial.ndim) if a != axis])
        means.append(float((line * torch.arange(len(line))).sum() / line.sum()))
    return np.array(means)


@settings(max_examples=10)
@given(data=st.data())
def test_blob_lies_where_the_grid_says(
    factory: Factory, scales: st.SearchStrategy[tuple[int, ...]], data: st.DataObject
) -> None:
    degradation = factory(data.draw(scales))
    scale, offset = np.array(degradation.scale_factor), np.array(degradation.grid.offset)
    sigma = 1.6 * scale  # narrow enough to move by a fraction of a voxel, wide enough not to alias
    border = degradation.border or (0,) * len(scale)
    shape = tuple(int(20 * s + b + data.draw(st.integers(0, s - 1))) for s, b in zip(scale, border, strict=True))
    centre = np.array([n / 2 + data.draw(st.floats(-1.0, 1.0)) for n in shape])
    blob = gaussian_blob(shape, centre, sigma)
    at = scale * centre_of_mass(degradation(blob)) + offset
    np.testing.assert_allclose(at, centre, atol=0.01)


@settings(max_examples=6)
@given(data=st.data())
def test_blob_comes_back_to_its_place(
    factory: Factory, scales: st.SearchStrategy[tuple[int, ...]], data: st.DataObject
) -> None:
    degradation = factory(data.draw(scales))
    scale = np.array(degradation.scale_factor)
    border = degradation.border or (0,) * len(scale)
    shape = tuple(int(20 * s + b + data.draw(st.integers(0, s - 1))) for s, b in zip(scale, border, strict=True))
    centre = np.array([n / 2 + data.draw(st.floats(-1.0, 1.0)) for n in shape])
    lr = degradation(gaussian_blob(shape, centre, 1.6 * scale))
    for method in ("linear", "cubic", "zero_filled"):
        hr = degradation.upsample(lr, method, size=shape)
        assert hr.shape == (1, 1, *shape)
        np.testing.assert_allclose(centre_of_mass(hr), centre, atol=0.02, err_msg=method)


@pytest.mark.parametrize("scale", [(2, 3), (4, 1), (1, 1, 4), (2, 2, 2)])
def test_gaussian_blob_becomes_the_wider_gaussian(scale: tuple[int, ...]) -> None:
    sigma, blob_sigma = np.array([1.1 * s for s in scale]), np.array([2.0 * s for s in scale])
    shape = tuple(24 * s for s in scale)
    centre = np.array([n / 2 + 0.3 for n in shape])
    blob = gaussian_blob(shape, centre, blob_sigma)
    wide = np.sqrt(blob_sigma**2 + sigma**2)
    amplitude = np.prod(blob_sigma / wide)
    expected = amplitude * gaussian_blob(shape, centre, wide)
    decimated = expected[(..., *[slice(None, None, s) for s in scale])]
    for degradation, wanted in (
        (GaussianBlur(tuple(sigma)), expected),
        (GaussianDecimation(scale, sigma=tuple(sigma)), decimated),
    ):
        torch.testing.assert_close(degradation(blob), wanted, rtol=0, atol=3e-4)


# --- other programs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kernel", "shape"), [((4, 4), (12, 16)), ((3, 2), (9, 14)), ((1, 2, 4), (5, 6, 8))])
def test_area_mean_is_average_pooling(kernel: tuple[int, ...], shape: tuple[int, ...]) -> None:
    x = torch.from_numpy(random_image(2, 3, *shape))
    pool = F.avg_pool2d if len(kernel) == 2 else F.avg_pool3d
    torch.testing.assert_close(AreaMean(kernel)(x), pool(x, kernel))


def test_bilinear_is_the_block_mean_at_2_and_the_mean_of_the_central_four_at_4() -> None:
    x = torch.from_numpy(random_image(1, 1, 16, 24))
    torch.testing.assert_close(Bilinear(2, 2)(x), F.avg_pool2d(x, 2))
    torch.testing.assert_close(Bilinear(4, 2)(x), F.avg_pool2d(F.pad(x, [-1, -1, -1, -1]), 2, stride=4))
    for s in (2, 3, 4, 5):
        image = torch.from_numpy(random_image(1, 1, 4 * s, 3 * s))
        expected = F.interpolate(image, size=(4, 3), mode="bilinear", align_corners=False)
        torch.testing.assert_close(Bilinear(s, 2)(image), expected)


@given(
    shape=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    sigma=st.tuples(*[st.sampled_from([0.0, 0.3, 1.0, 2.5, 5.0])] * 2),
)
def test_gaussian_blur_is_that_of_scipy_also_where_it_is_longer_than_the_image(
    shape: tuple[int, int], sigma: tuple[float, float]
) -> None:
    image = random_image(*shape)
    expected = gaussian_filter(image, sigma, mode="reflect", truncate=4.0)
    np.testing.assert_allclose(degrade(GaussianBlur(sigma), image), expected, atol=1e-12)


@given(shape_lr=st.tuples(*[st.integers(1, 5)] * 3), s=st.integers(1, 4), sigma=st.sampled_from([0.5, 1.0, 3.0]))
def test_gaussian_decimation_is_scipy_then_every_s_th_voxel(shape_lr: tuple[int, ...], s: int, sigma: float) -> None:
    image = random_image(*(n * s for n in shape_lr))
    expected = gaussian_filter(image, sigma, mode="reflect", truncate=4.0)[::s, ::s, ::s]
    np.testing.assert_allclose(degrade(GaussianDecimation((s,) * 3, sigma=(sigma,) * 3), image), expected, atol=1e-12)


@given(shape_lr=st.tuples(*[st.integers(1, 9)] * 2), s=st.integers(1, 4))
def test_bicubic_gaussian_is_both_steps_one_after_the_other(shape_lr: tuple[int, int], s: int) -> None:
    image = random_image(*(n * s for n in shape_lr))
    bicubic = BicubicGaussian((s, s), sigma=0.0)
    blurred = gaussian_filter(image, 1.5, mode="reflect", truncate=4.0)
    before = BicubicGaussian((s, s), sigma=(1.5, 1.5), sigma_grid="hr")
    np.testing.assert_allclose(degrade(before, image), degrade(bicubic, blurred), atol=1e-12)
    after = BicubicGaussian((s, s), sigma=(1.5, 1.5), sigma_grid="lr")
    expected = gaussian_filter(degrade(bicubic, image), 1.5, mode="reflect", truncate=4.0)
    np.testing.assert_allclose(degrade(after, image), expected, atol=1e-12)


@pytest.mark.parametrize("s", [2, 3, 4])
def test_bicubic_shrinking_is_that_of_pil_away_from_the_border(s: int) -> None:
    image = random_image(12 * s, 14 * s).astype(np.float32)
    expected = np.asarray(Image.fromarray(image).resize((14, 12), Image.Resampling.BICUBIC))
    result = degrade(BicubicGaussian((s, s), sigma=0.0), image.astype(np.float64))
    np.testing.assert_allclose(result[2:-2, 2:-2], expected[2:-2, 2:-2], atol=2e-6)
    assert np.abs(result - expected).max() > 1e-3  # PIL cuts the kernel at the border, where we mirror the image


@pytest.mark.parametrize("s", [2, 3, 4])
def test_bicubic_shrinking_mirrors_its_borders(s: int) -> None:
    image = random_image(8 * s, 8 * s)
    mirrored = np.pad(image, 4 * s, mode="symmetric")
    bicubic = BicubicGaussian((s, s), sigma=0.0)
    np.testing.assert_allclose(degrade(bicubic, image), degrade(bicubic, mirrored)[4:-4, 4:-4], atol=1e-12)


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
