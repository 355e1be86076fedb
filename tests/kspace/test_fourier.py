from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from custom.kspace import fft_centred, ifft_centred

shapes = st.tuples(*[st.integers(1, 9)] * 3)
axes = st.sampled_from([(0,), (2,), (-1,), (0, 2), (-2, -1), (0, 1, 2)])


def complex_noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))


@given(shapes, axes)
def test_equal_to_numpy_on_even_and_odd_sizes(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    x = complex_noise(*shape)
    shifted = np.fft.fftn(np.fft.ifftshift(x.numpy(), axes=axes), axes=axes, norm="ortho")
    np.testing.assert_allclose(fft_centred(x, axes).numpy(), np.fft.fftshift(shifted, axes=axes), atol=1e-12)


@given(shapes, axes)
def test_unitary(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    x, y = complex_noise(*shape, seed=1), complex_noise(*shape, seed=2)
    k = fft_centred(x, axes)
    torch.testing.assert_close(ifft_centred(k, axes), x)
    torch.testing.assert_close(torch.linalg.vector_norm(k), torch.linalg.vector_norm(x))
    torch.testing.assert_close(
        torch.vdot(k.flatten(), y.flatten()), torch.vdot(x.flatten(), ifft_centred(y, axes).flatten())
    )


@pytest.mark.parametrize("n", [32, 33])
def test_gaussian_becomes_the_gaussian_that_theory_says(n: int) -> None:
    sigma = 2.5
    x = torch.arange(n, dtype=torch.float64) - n // 2
    image = torch.exp(-0.5 * (x / sigma) ** 2)
    width = n / (2 * torch.pi * sigma)
    expected = sigma * (2 * torch.pi / n) ** 0.5 * torch.exp(-0.5 * (x / width) ** 2)
    k = fft_centred(image, [0])
    torch.testing.assert_close(k.real, expected, rtol=0, atol=1e-6)
    assert k.imag.abs().max() < 1e-12


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_low_precision_and_autocast_give_complex64(dtype: torch.dtype) -> None:
    x = torch.ones(2, 5, 6, dtype=dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        k = fft_centred(x, [1, 2])
        back = ifft_centred(k, [1, 2])
    assert k.dtype == torch.complex64
    assert k[0, 2, 3].item() == pytest.approx(30**0.5)
    torch.testing.assert_close(back.real, x.float())


def test_gradients() -> None:
    x = complex_noise(2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: fft_centred(t, [-2, -1]), x)
    assert torch.autograd.gradcheck(lambda t: ifft_centred(t, [-1]), x)
