"""Dictionary transforms that bring intensities to about [0, 1] and back."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from custom.arrays.intensity import SCALE_PERCENTILE, intensity_scale
from custom.errors import InputError
from custom.transforms.meta import name_of

__all__ = ["RestoreIntensityd", "ScaleIntensityByPercentiled"]


class ScaleIntensityByPercentiled(MapTransform):
    """Divide images by their intensity scale and keep the number under `<key>_scale`; offset 0, nothing is clipped.

    Args:
        keys: keys of tensors (C, *spatial), magnitudes.
        percentile: of the foreground; see `intensity_scale`.
        scale_from: key whose scale divides all of `keys`; by default each has its own.
        allow_missing_keys: pass over keys that an item lacks.
    """

    def __init__(
        self,
        keys: KeysCollection,
        percentile: float = SCALE_PERCENTILE,
        scale_from: str | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.percentile = percentile
        self.scale_from = scale_from

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Scale every key.

        Raises:
            InputError: for an image without positive values, naming its file.
        """
        result = dict(data)
        common = None if self.scale_from is None else self._scale(result[self.scale_from])
        for key in self.key_iterator(result):
            scale = self._scale(result[key]) if common is None else common
            result[key] = result[key] / scale
            result[f"{key}_scale"] = scale
        return result

    def _scale(self, image: torch.Tensor) -> float:
        try:
            return intensity_scale(image, self.percentile)
        except InputError as err:
            raise InputError(f"{name_of(image) or 'image'}: {err}") from err


class RestoreIntensityd(MapTransform):
    """Multiply results by the scale that their input was divided by, so that they are in the input's units again.

    Args:
        keys: keys of tensors.
        scale_from: key of the input; its scale is under `<scale_from>_scale`.
        in_place: overwrite the tensors instead of making new ones, which spares memory and time; not where another
            tensor of the item lies in the same memory.
        allow_missing_keys: pass over keys that an item lacks.
    """

    def __init__(
        self,
        keys: KeysCollection = "pred",
        scale_from: str = "image",
        in_place: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.scale_from = scale_from
        self.in_place = in_place

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Restore every key."""
        result = dict(data)
        scale = float(result[f"{self.scale_from}_scale"])
        for key in self.key_iterator(result):
            image: torch.Tensor = result[key]
            alone = self.in_place and image.is_floating_point() and not image.requires_grad
            if alone and not any(_share_memory(image, other) for name, other in result.items() if name != key):
                image *= scale
            else:
                image = image * scale
            result[key] = image
        return result


def _share_memory(image: torch.Tensor, other: Any) -> bool:
    return isinstance(other, torch.Tensor) and image.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
