"""The dictionary transform that puts a result where its input lies."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from custom.degradations import Degradation
from custom.errors import UsageError
from custom.transforms.meta import affine_of, meta_of, with_affine

__all__ = ["SetGridAffined"]


class SetGridAffined(MapTransform):
    """Give a super-resolved tensor the affine of its own voxels: the input's, carried over by the degradation's grid.

    No network and no MONAI component does this: a prediction inherits the affine of its input, and would be written
    with the input's voxel size. Metadata of the input that still holds (file name, stored type) is kept; sizes,
    original affine and recorded operations are dropped.

    Args:
        keys: keys of results (C, *spatial).
        source: key of the input (C, *spatial), from which affine and metadata come; the identity if it has none.
        degradation: whose grid relates the voxels of both; a 2D one within `SliceBySlice`.
        allow_missing_keys: pass over keys that an item lacks.
    """

    def __init__(
        self,
        keys: KeysCollection = "pred",
        source: str = "image",
        *,
        degradation: Degradation,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.source = source
        self.degradation = degradation

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Set the affine of every key.

        Raises:
            InputError: where the degradation does not act on as many axes as the input has.
            UsageError: where a result's size is not what the grid makes of the input's.
        """
        result = dict(data)
        source: torch.Tensor = result[self.source]
        size = tuple(source.shape[1:])
        grid = self.degradation.grid_for(len(size))
        affine = grid.affine_hr(affine_of(source))
        for key in self.key_iterator(result):
            shape = tuple(result[key].shape[1:])
            # A result may be cut short of the last low-resolution voxel's end, which does not move it.
            if len(shape) != len(size) or grid.shape_lr(shape) != size:
                raise UsageError(
                    f"{key}: the size {shape} is not {size} times {grid.scale}; "
                    "the network's scale, the degradation's scale_factor and slice_axis have to agree"
                )
            result[key] = with_affine(result[key], affine, meta_of(source))
        return result
