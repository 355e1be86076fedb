from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from custom.kspace import crop_centre, fft_centred, fourier_resample, ifft_centred, pad_centre, phase_ramp

sizes = st.integers(1, 12)
offsets = st.floats(-3.0, 3.0, width=16)


def noise(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@given(sizes, sizes, sizes, sizes)
def test_the_centre_stays_in_the_centre(n: int, m: int, n2: int, m2: int) -> None:
    (small, large), (small2, large2) = sorted((n, m)), sorted((n2, m2))
    x = torch.arange(large, dtype=torch.float64)[:, None] - large // 2 + 100.0 * (torch.arange(large2) - large2 // 2)
    cropped = crop_centre(x, [small, small2], [0, 1])
    assert cropped.shape == (small, small2)
    assert cropped[small // 2, small2 // 2] == 0.0
    padded = pad_centre(cropped + 1.0, [large, large2], [0, 1])
    assert padded.shape == x.shape
    assert padded[large // 2, large2 // 2] == 1.0
    torch.testing.assert_close(crop_centre(padded, [small, small2], [0, 1]), cropped + 1.0)
    assert (padded != 0).sum() <= small * small2


@given(sizes, sizes)
def test_padding_is_the_adjoint_of_cropping(n: int, m: int) -> None:
    small, large = sorted((n, m))
    x, y = noise(3, large, dtype=torch.complex128, seed=1), noise(3, small, dtype=torch.complex128, seed=2)
    left = torch.vdot(crop_centre(x, [small], [-1]).flatten(), y.flatten())
    torch.testing.assert_close(left, torch.vdot(x.flatten(), pad_centre(y, [large], [-1]).flatten()))


@given(st.integers(1, 12), st.integers(-12, 12))
def test_ramp_of_whole_voxels_is_a_roll(n: int, shift: int) -> None:
    x = noise(2, n, 3)
    moved = ifft_centred(phase_ramp(fft_centred(x, [1]), shift, 1), [1])
    torch.testing.assert_close(moved, torch.roll(x, -shift, 1).to(torch.complex128))


@given(sizes, sizes, offsets, st.integers(0, 6), st.floats(0.0, 3.0, width=16))
def test_resampled_plane_wave_is_the_plane_wave_at_the_new_places(
    n: int, m: int, offset: float, line: int, phase: float
) -> None:
    line = min(line, (min(n, m) - 1) // 2)
    x = torch.arange(n, dtype=torch.float64)
    new = torch.arange(m, dtype=torch.float64) * n / m + offset
    wave, expected = (torch.cos(2 * torch.pi * line * t / n + phase) for t in (x, new))
    torch.testing.assert_close(fourier_resample(wave, m, 0, offset), expected, rtol=0, atol=1e-12)
    rotating = torch.polar(torch.ones(n, dtype=torch.float64), 2 * torch.pi * line * x / n)
    expected = torch.polar(torch.ones(m, dtype=torch.float64), 2 * torch.pi * line * new / n)
    torch.testing.assert_close(fourier_resample(rotating, m, 0, offset), expected, rtol=0, atol=1e-12)


@given(st.integers(1, 8), sizes, offsets)
def test_real_images_stay_real_and_the_mean_is_kept(half: int, m: int, offset: float) -> None:
    x = noise(2, 2 * half)
    y = fourier_resample(x, m, 1, offset)
    assert y.dtype == torch.float64
    torch.testing.assert_close(y.mean(1), x.mean(1))
    # The imaginary part that is dropped is empty: the two ends of the Nyquist line are alike.
    as_complex = fourier_resample(x.to(torch.complex128), m, 1, offset)
    torch.testing.assert_close(as_complex, y.to(torch.complex128), rtol=0, atol=1e-12)


@given(sizes, sizes)
def test_filling_keeps_the_samples_and_cropping_halves_their_nyquist_component(n: int, factor: int) -> None:
    x = noise(n)
    filled = fourier_resample(x, n * factor, 0)
    torch.testing.assert_close(filled[::factor], x, rtol=0, atol=1e-12)
    sign = (-1.0) ** torch.arange(n, dtype=torch.float64)
    nyquist = (x * sign).mean() * sign if n % 2 == 0 and factor > 1 else torch.zeros(n, dtype=torch.float64)
    torch.testing.assert_close(fourier_resample(filled, n, 0), x - 0.5 * nyquist, rtol=0, atol=1e-12)


@given(st.integers(1, 6), offsets)
def test_a_shifted_nyquist_wave_is_damped_by_the_cosine(half: int, offset: float) -> None:
    wave = (-1.0) ** torch.arange(2 * half, dtype=torch.float64)
    expected = wave * np.cos(np.pi * offset)
    torch.testing.assert_close(fourier_resample(wave, 2 * half, 0, offset), expected, rtol=0, atol=1e-12)


def test_same_size_without_a_shift_is_untouched() -> None:
    x = noise(2, 6, dtype=torch.float32)
    assert torch.equal(fourier_resample(x, 6, 1), x)


def test_gradients_and_types() -> None:
    x = noise(2, 6)
    assert torch.autograd.gradcheck(lambda t: fourier_resample(t, 9, 1, 0.3), x.clone().requires_grad_())
    assert torch.autograd.gradcheck(lambda t: fourier_resample(t, 4, 1, 0.3), x.clone().requires_grad_())
    assert torch.autograd.gradcheck(lambda t: pad_centre(t, [4, 9], [0, 1]), x.clone().requires_grad_())
    half = fourier_resample(x.to(torch.bfloat16), 9, 1, 0.3)
    assert half.dtype == torch.float32
    np.testing.assert_allclose(half, fourier_resample(x, 9, 1, 0.3), atol=0.05)


def test_wrong_sizes_are_refused() -> None:
    x = noise(4, 4)
    with pytest.raises(ValueError, match="axis 1 of length 4 to 5; pad_centre"):
        crop_centre(x, [5], [1])
    with pytest.raises(ValueError, match="axis 0 of length 4 to 3; crop_centre"):
        pad_centre(x, [3], [0])
    for call in (crop_centre, pad_centre):
        with pytest.raises(ValueError, match=r"sizes=\(4,\) for axes=\(0, 1\)"):
            call(x, [4], [0, 1])
    with pytest.raises(ValueError, match="at least 1"):
        fourier_resample(x, 0, 0)
