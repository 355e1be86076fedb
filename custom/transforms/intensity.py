"""Dictionary transforms that bring intensities to about [0, 1] and back."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from custom.arrays.intensity import intensity_scale
from custom.errors import InputError
from custom.transforms.meta import name_of

__all__ = ["RestoreIntensityd", "ScaleIntensityByPercentiled"]


class ScaleIntensityByPercentiled(MapTransform):
    """Divide images by their intensity scale and keep the number under `<key>_scale`; offset 0, nothing is clipped.

    Args:
        keys: keys of tensors (frames, *spatial), magnitudes.
        allow_missing_keys: pass over keys that an item lacks.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Scale every key.

        Raises:
            InputError: for an image without positive values, naming its file.
        """
        result = dict(data)
        for key in self.key_iterator(result):
            image: torch.Tensor = result[key]
            try:
                scale = intensity_scale(image)
            except InputError as err:
                raise InputError(f"{name_of(image) or key}: {err}") from err
            result[key] = image / scale
            result[f"{key}_scale"] = scale
        return result


class RestoreIntensityd(MapTransform):
    """Multiply results by the scale that their input was divided by, so that they are in the input's units again.

    The tensors are overwritten, which saves memory and time, unless another tensor of the item shares their memory.

    Args:
        keys: keys of tensors.
        scale_from: key of the input; its scale is under `<scale_from>_scale`.
        allow_missing_keys: pass over keys that an item lacks.
    """

    def __init__(
        self, keys: KeysCollection = "pred", scale_from: str = "image", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.scale_from = scale_from

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Restore every key."""
        result = dict(data)
        scale = float(result[f"{self.scale_from}_scale"])
        for key in self.key_iterator(result):
            image: torch.Tensor = result[key]
            shared = any(_share_memory(image, other) for name, other in result.items() if name != key)
            if shared or image.requires_grad or not image.is_floating_point():
                image = image * scale
            else:
                image *= scale
            result[key] = image
        return result


def _share_memory(image: torch.Tensor, other: Any) -> bool:
    return isinstance(other, torch.Tensor) and image.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
