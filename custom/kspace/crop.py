"""Cropping and zero filling of centred arrays, sub-voxel shifts, and Fourier resampling along one axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from custom.kspace.fourier import fft_centred, ifft_centred

__all__ = ["crop_centre", "fourier_resample", "pad_centre", "phase_ramp"]


def _check_sizes(sizes: Sequence[int], axes: Sequence[int]) -> None:
    if len(sizes) != len(axes) or any(size < 1 for size in sizes):
        raise ValueError(f"sizes={tuple(sizes)} for axes={tuple(axes)}: give one size of at least 1 for each axis")


def crop_centre(x: Tensor, sizes: Sequence[int], axes: Sequence[int]) -> Tensor:
    """Cut out the centre of some axes so that index `n // 2` becomes index `size // 2`.

    Args:
        x: any shape and type, for example k-space with DC at `n // 2`.
        sizes: the new length of each named axis, at most the old one.
        axes: the axes to crop.

    Returns:
        A view of x. With `norm="ortho"` k-space the image intensities fall by `sqrt(size / n)` for each axis.

    Raises:
        ValueError: the sizes do not fit the axes, or one is larger than what there is.
    """
    _check_sizes(sizes, axes)
    for size, axis in zip(sizes, axes, strict=True):
        if size > x.shape[axis]:
            raise ValueError(f"cannot crop axis {axis} of length {x.shape[axis]} to {size}; pad_centre makes it longer")
        x = x.narrow(axis, x.shape[axis] // 2 - size // 2, size)
    return x


def pad_centre(x: Tensor, sizes: Sequence[int], axes: Sequence[int]) -> Tensor:
    """Fill some axes with zeros so that index `n // 2` becomes index `size // 2`: the adjoint of `crop_centre`.

    Args:
        x: any shape and type.
        sizes: the new length of each named axis, at least the old one.
        axes: the axes to fill.

    Returns:
        A new tensor.

    Raises:
        ValueError: the sizes do not fit the axes, or one is smaller than what there is.
    """
    _check_sizes(sizes, axes)
    shape = list(x.shape)
    for size, axis in zip(sizes, axes, strict=True):
        if size < x.shape[axis]:
            raise ValueError(
                f"cannot pad axis {axis} of length {x.shape[axis]} to {size}; crop_centre makes it shorter"
            )
        shape[axis] = size
    # new_zeros keeps the type of x, complex too; the copy into it is differentiable.
    padded = x.new_zeros(shape)
    crop_centre(padded, [x.shape[axis] for axis in axes], axes).copy_(x)
    return padded


def phase_ramp(k_space: Tensor, shift: float, axis: int) -> Tensor:
    """Multiply k-space by the phase that makes image sample i show what lay at `i + shift`.

    The image is taken as periodic: with k the integer frequency, `X_k * exp(2 pi i k shift / n)`.

    Args:
        k_space: complex, DC at index `n // 2` of the axis.
        shift: in voxels, any fraction.
        axis: along which to shift.

    Returns:
        Complex tensor of the same shape. For even n the lowest frequency `-n/2` has no partner: at a fraction of a
        voxel the shifted image of a real one is not real there (`fourier_resample` takes care of that).
    """
    size = k_space.shape[axis]
    real_dtype = k_space.real.dtype
    frequency = torch.arange(size, dtype=real_dtype, device=k_space.device) - size // 2
    phase = frequency * (2.0 * math.pi * shift / size)
    ramp = torch.polar(torch.ones_like(phase), phase)
    axis = axis % k_space.ndim
    return k_space * ramp.reshape([-1 if a == axis else 1 for a in range(k_space.ndim)])


def fourier_resample(image: Tensor, size: int, axis: int, offset: float = 0.0) -> Tensor:
    r"""Resample a periodic image along one axis by cropping or zero filling its k-space; intensities are kept.

    Sample i of the result lies at input coordinate `x = i * n / size + offset` (n the input's length; voxel 0 is
    at coordinate 0). With X the Fourier coefficients, `y_i = 1/n * sum_k w_k X_k exp(2 pi i k x / n)` over the
    frequencies `|k| <= min(n, size) / 2`.

    The Nyquist line `|k| = min(n, size) / 2` of an even size exists once on the small grid and twice (+k and -k) on
    the large one; to keep real images real, half of it goes to each end when filling, and the mean of both ends is
    taken when cropping. So `w_k` is 1/2 there and 1 elsewhere, and cropping after filling returns the input
    except that its Nyquist component is halved.

    Args:
        image: real or complex, any shape.
        size: the new length of the axis.
        axis: the axis to resample.
        offset: where sample 0 of the result lies, in input voxels.

    Returns:
        Real for real input, complex for complex; 16-bit floats give float32. The mean along the axis is kept.

    Raises:
        ValueError: the size is smaller than 1.
    """
    _check_sizes([size], [axis])
    n = image.shape[axis]
    if size == n and offset == 0:
        return image
    k_space = fft_centred(image, [axis])
    if n % 2 == 0:  # n + 1 lines, the ends with half of the Nyquist line each
        nyquist = 0.5 * k_space.narrow(axis, 0, 1)
        k_space = torch.cat([nyquist, k_space.narrow(axis, 1, n - 1), nyquist], dim=axis)
    # Centred transforms keep the samples at n // 2 and size // 2 on each other: that is the shift to start from.
    shift = offset - (n // 2 - n / size * (size // 2))
    # The ramp counts voxels of an axis as long as the number of lines.
    lines = k_space.shape[axis]
    k_space = phase_ramp(k_space, shift * lines / n, axis)
    wanted = size + 1 - size % 2
    k_space = crop_centre(k_space, [wanted], [axis]) if wanted <= lines else pad_centre(k_space, [wanted], [axis])
    if size % 2 == 0:
        weight = 0.5 if size < n else 1.0
        nyquist = weight * (k_space.narrow(axis, 0, 1) + k_space.narrow(axis, size, 1))
        k_space = torch.cat([nyquist, k_space.narrow(axis, 1, size - 1)], dim=axis)
    resampled = ifft_centred(k_space, [axis]) * math.sqrt(size / n)
    return resampled if image.is_complex() else resampled.real
