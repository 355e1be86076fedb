"""The interface of a degradation: all that training, evaluation and inference ask of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from custom.degradations.grid import Grid
from custom.degradations.pseudo_inverse import PseudoInverse
from custom.degradations.upsampling import PolyphaseUpsampler
from custom.errors import InputError, UsageError

__all__ = ["Degradation"]


class Degradation(nn.Module, ABC):
    """Make a low-resolution image, or what a scanner measures, from a high-resolution image.

    `custom.arrays` says what the axes `(B, C, *spatial)` are. A subclass gives `forward`, `adjoint` and `upsample`;
    how it computes them is its own affair. A MetaTensor gives a plain tensor: whoever wraps a degradation takes the
    affine from `grid`.

    Args:
        grid: where low-resolution voxels lie in the high-resolution image.
        border: per spatial axis, how many high-resolution voxels beyond a patch are read, a multiple of the scale. A
            patch that was cut (from a multiple of the scale) with this many more voxels on each side, degraded, and
            cropped by `border / scale` is the same region of the degraded whole image. None: the whole image is read.

    Attributes:
        slice_axis: the array axis along which a volume is read as pictures by what knows pictures alone (LPIPS, the
            blood pool, the panels of a figure): the last, unless the degradation has an axis of its own.
    """

    slice_axis: int = -1

    def __init__(self, grid: Grid, border: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.grid = grid
        self.border = border

    @property
    def scale_factor(self) -> tuple[int, ...]:
        """High-resolution voxels to a low-resolution one, per spatial axis: the scale of the grid."""
        return self.grid.scale

    @property
    def keeps_grid(self) -> bool:
        """Whether low-resolution voxels are as many as high-resolution ones: scale 1 along all axes."""
        return max(self.scale_factor) == 1

    @property
    def spatial_dims(self) -> int:
        """The number of spatial axes, 2 or 3."""
        return self.grid.spatial_dims

    @abstractmethod
    def forward(self, hr: Tensor) -> Tensor:
        """Degrade a high-resolution image.

        Args:
            hr: `(B, C, *spatial)`, floating or complex, any intensities (nothing is scaled or clipped).

        Returns:
            `(B, C, *ceil(spatial / scale_factor))` of the same type.

        Raises:
            InputError: the number of axes is wrong.
            TypeError: an integer or boolean tensor.
        """

    @abstractmethod
    def adjoint(self, lr: Tensor, size: Sequence[int] | None = None) -> Tensor:
        """Apply the adjoint of the (linear part of the) degradation. This is not an upsampling.

        With `<a, b>` the inner product, `<degradation(x), y> = <x, adjoint(y)>` for images x of this size.

        Args:
            lr: `(B, C, *spatial)`, floating or complex.
            size: the spatial shape of the high-resolution image, `scale_factor * spatial` unless given.

        Returns:
            `(B, C, *size)` of the same type.

        Raises:
            InputError: the number of axes is wrong.
            ValueError: the size does not belong to the image.
            TypeError: an integer or boolean tensor.
        """

    @abstractmethod
    def upsample(self, lr: Tensor, method: str = "cubic", size: Sequence[int] | None = None) -> Tensor:
        """Interpolate a low-resolution image at the voxel centres of the high-resolution grid.

        "nearest", "linear" and "cubic" (Keys, a = -0.5) repeat the edge voxels. "spline" (of order 3, through all
        voxels) mirrors them. "zero_filled" is the Fourier interpolation with intensities kept. Axes of scale 1 are left
        untouched.

        Args:
            lr: `(B, C, *spatial)`, floating or complex.
            method: one of `UPSAMPLING_METHODS`.
            size: the spatial shape of the high-resolution image, `scale_factor * spatial` unless given.

        Returns:
            `(B, C, *size)` of the same type.

        Raises:
            UsageError: an unknown method.
            InputError: the number of axes is wrong.
            ValueError: the size does not belong to the image.
            TypeError: an integer or boolean tensor.
        """

    def pseudo_inverse(self, size: Sequence[int]) -> PseudoInverse:
        """Make the pseudo-inverse for one of the images that `independent_images` returns.

        Args:
            size: the spatial shape of the high-resolution image.

        Raises:
            UsageError: the degradation has none that is stable and quick to compute.
        """
        raise UsageError(
            f"{type(self).__name__} has no pseudo-inverse, since it is not one matrix for each axis; data_consistency "
            "has to be off"
        )

    def upsampler(self, method: str = "cubic") -> PolyphaseUpsampler:
        """Make the interpolation as a module for networks: scriptable, traceable, for any size, without parameters.

        Args:
            method: "nearest", "linear" or "cubic".

        Returns:
            A module from `(B, C, *spatial)` to `(B, C, *(scale_factor * spatial))`.

        Raises:
            UsageError: an unknown method, or "spline" or "zero_filled", which read the whole image.
        """
        return PolyphaseUpsampler(self.grid.scale, self.grid.offset, method)

    def grid_for(self, spatial_dims: int) -> Grid:
        """Return the grid of images with this many spatial axes.

        Raises:
            InputError: the degradation does not act on such images.
        """
        if spatial_dims != self.spatial_dims:
            raise InputError(
                f"{type(self).__name__}: the image has {spatial_dims} spatial axes; give (batch, channel, "
                f"{self.spatial_dims} spatial axes); within SliceBySlice a 2D degradation acts on volumes too"
            )
        return self.grid

    def independent_images(self, images: Tensor) -> Tensor:
        """Return images as a batch of those that are degraded independently of each other: here, as they are.

        Metrics that look at neighbourhoods (SSIM, HFEN) look at the neighbourhoods in these: a degradation that acts
        on the slices of a volume is judged slice by slice, a 3D one in 3D.

        Args:
            images: `(B, C, *spatial)`, of high or low resolution, or a mask.

        Raises:
            InputError: the number of axes is wrong.
        """
        self.grid_for(images.ndim - 2)
        return images

    def by_image(self, act: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """Apply a function to the `independent_images`, and put its results together again.

        Args:
            act: of `(B, C, *spatial)`, with as many spatial axes as are degraded; it may change their sizes.
            images: `(B, C, *spatial)`.

        Raises:
            InputError: the number of axes is wrong.
        """
        return act(self.independent_images(images))
