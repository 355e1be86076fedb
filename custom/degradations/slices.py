"""A 2D degradation on the slices of a volume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor

from custom.arrays.slices import checked_slice_axis, slices_to_volume, volume_to_slices
from custom.degradations.base import Degradation
from custom.degradations.grid import Grid
from custom.degradations.pseudo_inverse import PseudoInverse

__all__ = ["SliceBySlice"]


class SliceBySlice(Degradation):
    """Let a 2D degradation act on every slice of a volume; on pictures it is the 2D degradation itself.

    The grid, the scale factor and the border have three axes, with scale 1, offset 0 and border 0 along the slice axis.
    `custom.inferers.VolumeSlices` is the same for networks.

    Args:
        in_plane: the degradation of two axes.
        slice_axis: the array axis along which the slices follow each other, 0 to 2, or -3 to -1 from the end.

    Raises:
        UsageError: the degradation has three axes already, or there is no such axis.
    """

    def __init__(self, in_plane: Degradation, slice_axis: int = -1) -> None:
        axis = checked_slice_axis(slice_axis)
        border = in_plane.border
        super().__init__(
            in_plane.grid.with_slice_axis(axis), None if border is None else (*border[:axis], 0, *border[axis:])
        )
        self.in_plane = in_plane
        self.slice_axis = axis

    def forward(self, hr: Tensor) -> Tensor:
        """Degrade `(B, C, i, j, k)` slice by slice, or pictures `(B, C, i, j)`."""
        return self.by_image(self.in_plane, hr)

    def adjoint(self, lr: Tensor, size: Sequence[int] | None = None) -> Tensor:
        """Apply the adjoint; see `Degradation.adjoint`."""
        return self.by_image(partial(self.in_plane.adjoint, size=self._size_in_plane(lr, size)), lr)

    def upsample(self, lr: Tensor, method: str = "cubic", size: Sequence[int] | None = None) -> Tensor:
        """Interpolate within the slices; see `Degradation.upsample`."""
        return self.by_image(partial(self.in_plane.upsample, method=method, size=self._size_in_plane(lr, size)), lr)

    def pseudo_inverse(self, size: Sequence[int]) -> PseudoInverse:
        """Make the pseudo-inverse of a slice, of the two sizes of the slice."""
        return self.in_plane.pseudo_inverse(size)

    def grid_for(self, spatial_dims: int) -> Grid:
        """Return the grid of pictures (2) or of volumes (3)."""
        return self.in_plane.grid if spatial_dims == 2 else super().grid_for(spatial_dims)

    def independent_images(self, images: Tensor) -> Tensor:
        """Return the slices of volumes as a batch `(B * slices, C, *the other two axes)`; pictures as they are."""
        self.grid_for(images.ndim - 2)
        return volume_to_slices(images, self.slice_axis)

    def extra_repr(self) -> str:
        """Show the slice axis."""
        return f"slice_axis={self.slice_axis}"

    def by_image(self, act: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """Apply a function to the slices of volumes, or to pictures; see `Degradation.by_image`."""
        result = act(self.independent_images(images))
        return slices_to_volume(result, self.slice_axis, len(images)) if images.ndim == 5 else result

    def _size_in_plane(self, lr: Tensor, size: Sequence[int] | None) -> tuple[int, ...] | None:
        if size is None:
            return None
        size = self.grid_for(lr.ndim - 2).shape_hr(lr.shape[2:], size)
        return size if len(size) == 2 else (*size[: self.slice_axis], *size[self.slice_axis + 1 :])
