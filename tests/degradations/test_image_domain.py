"""Each degradation against formulas and against programs that others wrote."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from degradation_cases import degrade, gaussian_blob, noise, random_image
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from custom.degradations import (
    AreaMean,
    BicubicGaussian,
    Bilinear,
    Degradation,
    GaussianBlur,
    GaussianDecimation,
    KSpaceCrop,
)
from custom.errors import UsageError


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


def test_one_sigma_leaves_axes_of_scale_1_alone_and_one_per_axis_does_not() -> None:
    x = noise(1, 1, 8, 8)
    for make in (GaussianDecimation, BicubicGaussian):
        y = make((1, 4), sigma=1.0)(x)
        torch.testing.assert_close(y[:, :, 3:4], make((1, 4), sigma=1.0)(x[:, :, 3:4]))  # rows do not see each other
        assert not torch.allclose(make((1, 4), sigma=(1.0, 1.0))(x), y)


def test_mean_is_kept_by_blocks_kspace_and_blur() -> None:
    x = noise(2, 1, 12, 24)
    for degradation in (AreaMean((3, 4)), KSpaceCrop((3, 4)), KSpaceCrop((3, 4), pixel_centre_grid=False)):
        torch.testing.assert_close(degradation(x).mean((2, 3)), x.mean((2, 3)))
    blur = GaussianBlur((3.0, 7.0))  # longer than the image
    torch.testing.assert_close(blur(x).mean((2, 3)), x.mean((2, 3)))


def test_representation_names_what_matters() -> None:
    assert "scale_factor=(1, 1, 4)" in repr(AreaMean((1, 1, 4)))
    assert "sigma=(5.0, 5.0, 5.0)" in repr(GaussianBlur(5.0, 3))
    assert "sigma_grid='hr'" in repr(BicubicGaussian(4, 2, sigma_grid="hr"))


def test_a_blur_in_mm_is_that_in_voxels_over_their_size() -> None:
    assert GaussianBlur(3.0, 3, spacing=[1.0, 0.5, 2.0]).sigma == (3.0, 6.0, 1.5)
    with pytest.raises(UsageError, match="spacing"):
        GaussianBlur(3.0, 3, spacing=[1.0, 0.0, 2.0])
    with pytest.raises(UsageError, match="spacing"):
        GaussianBlur(3.0, 3, spacing=[1.0])
