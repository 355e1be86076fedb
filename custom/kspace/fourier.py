"""Centred, unitary Fourier transforms along chosen axes.

The image origin and the zero frequency (DC) both lie at index `n // 2` of an axis of n samples, for even and odd n.
The transforms are unitary (`norm="ortho"`): the L2 norm is kept, each is the adjoint and the inverse of the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["fft_centred", "ifft_centred"]


def _transformable(x: Tensor) -> Tensor:
    # torch.fft knows no bfloat16, and float16 only on some devices and sizes.
    return x.to(torch.float32) if x.dtype in (torch.float16, torch.bfloat16) else x


def fft_centred(image: Tensor, axes: Sequence[int]) -> Tensor:
    """Transform an image to k-space along the named axes.

    Args:
        image: real or complex, any shape; the axes that are not named are batch axes. 16-bit floats count as float32.
        axes: the axes to transform, negative ones from the end.

    Returns:
        Complex tensor of the same shape with DC at index `n // 2` of each named axis.
    """
    axes = tuple(axes)
    k_space = torch.fft.fftn(torch.fft.ifftshift(_transformable(image), dim=axes), dim=axes, norm="ortho")
    return torch.fft.fftshift(k_space, dim=axes)


def ifft_centred(k_space: Tensor, axes: Sequence[int]) -> Tensor:
    """Transform k-space back to an image along the named axes: the inverse and the adjoint of `fft_centred`.

    Args:
        k_space: real or complex, any shape, DC at index `n // 2` of each named axis.
        axes: the axes to transform, negative ones from the end.

    Returns:
        Complex tensor of the same shape with the image origin at index `n // 2` of each named axis.
    """
    axes = tuple(axes)
    image = torch.fft.ifftn(torch.fft.ifftshift(_transformable(k_space), dim=axes), dim=axes, norm="ortho")
    return torch.fft.fftshift(image, dim=axes)
