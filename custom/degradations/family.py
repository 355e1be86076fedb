"""A random family of degradations, so that a network does not learn to undo a single one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from monai.utils import ensure_tuple
from torch import Tensor, nn

from custom.degradations.appearance import (
    bias_fields,
    blurring_matrices,
    changed_contrast,
    shrinking_matrices,
    smooth_curves,
)
from custom.degradations.base import Degradation
from custom.degradations.phantoms import phantoms as draw_phantoms
from custom.degradations.ranges import checked_range, uniform
from custom.degradations.separable import SeparableDegradation
from custom.degradations.sharpened import Sharpened
from custom.errors import UsageError

__all__ = ["Member", "RandomFamily", "unit_noise"]

# From how many values, evenly spaced, an image draws how much smaller or more blurred it is made.
_STEPS = 16


class Member:
    """One kind of degradation of a family, with ranges for its parameters.

    Args:
        degradation: a class, or anything that makes a `Degradation` of keywords; in a config a component with
            `"_mode_": "callable"`.
        share: how often it is drawn, relative to the other members.
        magnitude: part of its images that are the magnitude of a complex image with a smooth phase, as scanners store
            them; the others are real. Degradations that need complex images (partial Fourier) have no others.
        **ranges: by the name of a parameter, [low, high] to draw from, or a list of names to choose from.

    Raises:
        UsageError: for a share that is not above 0, a part outside 0 to 1, or a range that is none.
    """

    def __init__(
        self,
        degradation: Callable[..., SeparableDegradation],
        share: float = 1.0,
        magnitude: float = 0.0,
        **ranges: Sequence[float] | Sequence[str],
    ) -> None:
        if not share > 0 or not math.isfinite(share):
            raise UsageError(f"share of a member is {share!r}; give a number above 0")
        self.magnitude = checked_range("magnitude of a member", magnitude, 0.0, 1.0)[0]
        self.degradation = degradation
        self.share = float(share)
        self.choices = {name: list(value) for name, value in ranges.items() if _are_names(value)}
        self.ranges = {
            name: checked_range(name, value)  # type: ignore[arg-type]
            for name, value in ranges.items()
            if name not in self.choices
        }

    def draw(self) -> SeparableDegradation:
        """Make one degradation with parameters drawn by torch's generator.

        Raises:
            UsageError: for parameters that the degradation does not take.
        """
        drawn: dict[str, Any] = {name: float(uniform(low, high, 1)) for name, (low, high) in self.ranges.items()}
        drawn |= {name: names[int(torch.randint(len(names), ()))] for name, names in self.choices.items()}
        try:
            return self.degradation(**drawn)
        except TypeError as error:
            raise UsageError(f"a member of the family does not take these parameters: {error}") from error


class RandomFamily(nn.Module):
    """Make pairs of low and high resolution of patches, each by its own degradation drawn from a family.

    For each image of a batch: the anatomy is made smaller by a random factor, or smoother; its contrast is changed by a
    random curve and its brightness by a smooth field; then a degradation is drawn and applied. Where it is of the
    magnitude kind, `y = |A(x exp(i phi)) + n|` with a smooth random phase and complex Gaussian noise n, which makes the
    noise Rician; else `y = A x + n`. The noise has gone through the same window, zero filling and sharpening as the
    image. Some images are rounded, as files of integers are. At last an offset of a few per cent is added to both
    images, as resampling with splines and DICOM's padding leave it.

    The degradations are drawn when the family is made (`pool` of them, by the shares of the members) and their matrices
    kept; which one an image gets, and all other parameters, are drawn for each image by
    torch's generator on the CPU, so that a checkpoint that holds its state continues the same draws.

    Args:
        degradation: the bundle's own; its grid is that of all members.
        members: by name.
        patch_size: per spatial axis, of the high-resolution patches that come out, in voxels.
        noise: range of the standard deviation of the noise, in units of the image (about 0..1). Scans have 0.5 to 5 %.
        noise_free: part of the images without noise.
        rounding: range of the step to which the low-resolution image is rounded, in units of the image; pictures of 8
            bits have 1/255.
        rounded: part of the images that are rounded.
        sharpening: range of the amount of unsharp masking (see `Sharpened`).
        sharpened: part of the pool that is sharpened, as vendors' image filters do.
        phase: largest coefficient (radians over half of the patch) of the linear and quadratic smooth phase.
        shrink: range of the factor by which the anatomy is made smaller before it is degraded, 1 or more.
        shrunk: part of the images that are made smaller.
        blur: range of the standard deviation, in high-resolution voxels, of the Gaussian by which the anatomy is made
            smoother. Scans that are smooth themselves teach a network not to sharpen whatever is smooth.
        blurred: part of the images that are made smoother.
        phantoms: part of the images that are replaced by random shapes of constant level (see `phantoms`).
        contrast: part of the images whose contrast is changed.
        inverted: part of these whose contrast is inverted.
        bias: range of the strength of the bias field.
        offset: range of what is added to both images.
        margin: low-resolution voxels around the patch that members may read: longer tails are cut there.
        pool: how many degradations are drawn.
        seed: of the pool, so that a continued training has the same one.

    Attributes:
        grid: of all members.
        scale_factor: per spatial axis.
        spatial_dims: 2 or 3.
        border: how many HR voxels beyond a patch the family reads, per spatial axis, a multiple of the scale.

    Raises:
        UsageError: for a member of another grid, no members, or ranges that make no sense.
    """

    def __init__(
        self,
        degradation: Degradation,
        members: Mapping[str, Member],
        patch_size: Sequence[int],
        noise: float | Sequence[float] = (0.0, 0.05),
        noise_free: float = 0.3,
        rounding: float | Sequence[float] = 0.004,
        rounded: float = 0.0,
        sharpening: float | Sequence[float] = (0.2, 1.0),
        sharpened: float = 0.15,
        phase: float = 1.0,
        shrink: float | Sequence[float] = 1.0,
        shrunk: float = 0.5,
        blur: float | Sequence[float] = (1.0, 6.0),
        blurred: float = 0.0,
        phantoms: float = 0.0,
        contrast: float = 0.5,
        inverted: float = 0.25,
        bias: float | Sequence[float] = (0.0, 0.3),
        offset: float | Sequence[float] = 0.0,
        margin: int = 8,
        pool: int = 512,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not members:
            raise UsageError("members of the family: there are none; name at least one")
        self.noise = checked_range("noise", noise, 0.0, 1.0)
        self.noise_free = checked_range("noise_free", noise_free, 0.0, 1.0)[0]
        self.rounding = checked_range("rounding", rounding, 0.0)
        self.rounded = checked_range("rounded", rounded, 0.0, 1.0)[0]
        self.phase = checked_range("phase", phase, 0.0)[0]
        self.shrink = checked_range("shrink", shrink, 1.0)
        self.shrunk = checked_range("shrunk", shrunk, 0.0, 1.0)[0]
        self.blur = checked_range("blur", blur, 0.01)
        self.blurred = checked_range("blurred", blurred, 0.0, 1.0)[0]
        self.phantoms = checked_range("phantoms", phantoms, 0.0, 1.0)[0]
        self.contrast = checked_range("contrast", contrast, 0.0, 1.0)[0]
        self.inverted = checked_range("inverted", inverted, 0.0, 1.0)[0]
        self.bias = checked_range("bias", bias, 0.0)
        self.offset = checked_range("offset", offset)
        amounts = checked_range("sharpening", sharpening, 0.0)
        sharpened = checked_range("sharpened", sharpened, 0.0, 1.0)[0]
        if not isinstance(seed, int):
            raise UsageError(f"seed is {seed!r}; the pool of degradations is drawn by it, so give a whole number")
        if margin < 0 or pool < 1:
            raise UsageError(f"margin is {margin}, 0 or more; pool is {pool}, 1 or more")
        self.grid = degradation.grid
        self.scale_factor = degradation.scale_factor
        self.spatial_dims = degradation.spatial_dims
        self.margin = tuple(margin * s for s in self.scale_factor)
        self.patch_size = ensure_tuple(patch_size)
        if len(self.patch_size) != self.spatial_dims or any(
            p < s or p % s for p, s in zip(self.patch_size, self.scale_factor, strict=True)
        ):
            raise UsageError(
                f"patch_size is {list(self.patch_size)}; give multiples of the scale factor {list(self.scale_factor)}"
            )
        # What is made smaller is cut larger, by so much that patch and margin are left.
        self.border = tuple(
            m + s * math.ceil((m + p / 2) * (self.shrink[1] - 1) / s)
            for p, m, s in zip(self.patch_size, self.margin, self.scale_factor, strict=True)
        )
        self.degradations: list[SeparableDegradation] = []
        magnitude: list[float] = []
        total = sum(member.share for member in members.values())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for name, member in members.items():
                for _ in range(max(1, round(pool * member.share / total))):
                    drawn = member.draw()
                    if drawn.grid != degradation.grid:
                        raise UsageError(f"member {name!r} of the family: {drawn} has another grid than {degradation}")
                    if float(torch.rand(())) < sharpened:
                        drawn = Sharpened(drawn, float(uniform(*amounts, 1)))
                    self.degradations.append(drawn)
                    magnitude.append(1.0 if drawn.needs_complex_images else member.magnitude)
        self._magnitude = torch.tensor(magnitude)  # stays on the CPU, where all is drawn
        sizes = [p + 2 * m for p, m in zip(self.patch_size, self.margin, strict=True)]
        self._has_filters = False
        for axis, size in enumerate(sizes):
            image, filters = self._stacked(axis, size)
            self.register_buffer(f"image_{axis}", image, persistent=False)
            self.register_buffer(f"noise_{axis}", filters, persistent=False)
            factors = torch.linspace(*self.shrink, _STEPS)
            if self.blurred:
                blurs = blurring_matrices(torch.linspace(*self.blur, _STEPS), size)
                self.register_buffer(f"blur_{axis}", blurs, persistent=False)
            whole = size + 2 * (self.border[axis] - self.margin[axis])
            self.register_buffer(f"shrink_{axis}", shrinking_matrices(factors, whole, size), persistent=False)

    @torch.no_grad()
    def forward(self, hr: Tensor) -> tuple[Tensor, Tensor]:
        """Make pairs.

        Args:
            hr: `(B, C, *(patch_size + 2 * border))`, floating, about 0..1.

        Returns:
            Low resolution `(B, C, *(patch / scale))` and high resolution `(B, C, *patch)`.
        """
        count = len(hr)
        self.to(hr.device)
        hr = self._appearance(hr)
        sizes = hr.shape[2:]
        shape = (-1, *[1] * (hr.ndim - 1))
        chosen = torch.randint(len(self.degradations), (count,))
        is_magnitude = torch.rand(count) < self._magnitude[chosen]
        image = self._of("image", chosen)
        if self.phase:
            # The phase is a sum of curves along the axes, so it goes into their matrices.
            curves = [self.phase * smooth_curves(count, size) * is_magnitude[:, None] for size in sizes]
            phases = [torch.exp(1j * curve).to(hr.device)[:, None] for curve in curves]
            image = [matrix * phase for matrix, phase in zip(image, phases, strict=True)]
        dtype = _common_dtype(image)
        lr = apply_along_axes(hr.to(dtype), [matrix.to(dtype) for matrix in image])
        deviation = torch.where(torch.rand(count) < self.noise_free, torch.zeros(count), uniform(*self.noise, count))
        noise = torch.complex(torch.randn(lr.shape), torch.randn(lr.shape)) * deviation.reshape(shape)
        noise = noise.to(hr.device)
        if self._has_filters:
            noise = apply_along_axes(noise, [m.to(torch.complex64) for m in self._of("noise", chosen)])
        lr = torch.where(is_magnitude.reshape(shape).to(hr.device), (lr + noise).abs(), (lr + noise).real)
        if self.rounded:
            step = uniform(*self.rounding, count).clamp(min=1e-6).reshape(shape).to(lr)
            is_rounded = (torch.rand(count) < self.rounded).reshape(shape).to(hr.device)
            lr = torch.where(is_rounded, torch.round(lr / step) * step, lr)
        offset = uniform(*self.offset, count).reshape(shape).to(hr)
        cut_hr = [slice(margin, n - margin) for margin, n in zip(self.margin, sizes, strict=True)]
        cut_lr = [slice(c.start // s, c.stop // s) for c, s in zip(cut_hr, self.scale_factor, strict=True)]
        return lr[_within(cut_lr)] + offset, hr[_within(cut_hr)] + offset

    def extra_repr(self) -> str:
        """Show the size of the pool and the grid."""
        return f"{len(self.degradations)} degradations, scale_factor={self.scale_factor}, border={self.border}"

    def _appearance(self, hr: Tensor) -> Tensor:
        """Change size, sharpness, contrast and bias field of each image: `(B, C, *(patch_size + 2 * margin))`."""
        count = len(hr)
        if self.border != self.margin:
            smaller = torch.rand(count) < self.shrunk
            cut = [slice(b - m, n - (b - m)) for b, m, n in zip(self.border, self.margin, hr.shape[2:], strict=True)]
            whole, hr = hr, hr[_within(cut)].clone()
            factors = torch.randint(_STEPS, (int(smaller.sum()),))
            smaller = smaller.to(hr.device)
            hr[smaller] = apply_along_axes(whole[smaller], self._of("shrink", factors))
        hr = hr.clone()
        if self.blurred:
            smoother = torch.rand(count) < self.blurred
            sigmas = torch.randint(_STEPS, (int(smoother.sum()),))
            smoother = smoother.to(hr.device)
            hr[smoother] = apply_along_axes(hr[smoother], self._of("blur", sigmas))
        if self.phantoms:
            replaced = torch.rand(count) < self.phantoms
            hr[replaced.to(hr.device)] = draw_phantoms(int(replaced.sum()), hr.shape[2:]).to(hr)
        changed = (torch.rand(count) < self.contrast).to(hr.device)
        hr[changed] = changed_contrast(hr[changed], self.inverted)
        for axis, factor in enumerate(bias_fields(count, hr.shape[2:], self.bias)):
            hr *= factor.to(hr.device).reshape(count, *[-1 if a == axis + 1 else 1 for a in range(hr.ndim - 1)])
        return hr

    def _of(self, what: str, numbers: Tensor) -> list[Tensor]:
        """Give the matrices of some numbers, `(B, m, n)` for each axis."""
        stacks: list[Tensor] = [self.get_buffer(f"{what}_{axis}") for axis in range(self.spatial_dims)]
        return [stack[numbers.to(stack.device)] for stack in stacks]

    def _stacked(self, axis: int, size: int) -> tuple[Tensor, Tensor]:
        """Stack the matrices of an axis of the whole pool: of the image, and of the noise."""
        low = size // self.scale_factor[axis]
        noise = [d.noise_matrix(axis, low) for d in self.degradations]
        self._has_filters |= any(matrix is not None for matrix in noise)
        filters = [torch.eye(low, dtype=torch.float64) if matrix is None else unit_noise(matrix) for matrix in noise]
        image = [d.axis_matrix(axis, size) for d in self.degradations]
        return _stack(image), _stack(filters)


def _stack(matrices: Sequence[Tensor]) -> Tensor:
    dtype = _common_dtype(matrices)
    return torch.stack([matrix.to(dtype) for matrix in matrices])


def _common_dtype(matrices: Sequence[Tensor]) -> torch.dtype:
    """Give the single precision of matrices: with one that is complex all have to be."""
    return torch.complex64 if any(matrix.is_complex() for matrix in matrices) else torch.float32


def _are_names(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(v, str) for v in value)


def unit_noise(matrix: Tensor) -> Tensor:
    """Scale a matrix so that white noise of deviation 1 has that deviation in the middle of the axis afterwards."""
    return matrix / matrix[len(matrix) // 2].norm()


def _within(window: Sequence[slice]) -> tuple[Any, ...]:
    """Index the spatial axes of `(B, C, *spatial)`."""
    return (slice(None), slice(None), *window)


def apply_along_axes(image: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Apply to each image of `(B, C, *spatial)` its own matrix `(B, m, n)` along each spatial axis."""
    for axis, matrix in enumerate(matrices, start=2):
        moved = image.movedim(axis, -1)
        image = (moved.flatten(1, -2) @ matrix.mT).unflatten(1, moved.shape[1:-1]).movedim(-1, axis)
    return image
