"""Dictionary transforms that see to it that images are magnitudes, and bring intensities to about [0, 1] and back."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Literal, get_args

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from custom.arrays.intensity import intensity_scale
from custom.arrays.mapped import windows
from custom.arrays.negative_values import why_signed
from custom.errors import InputError, UsageError
from custom.scans.dicom.kinds import why_not_magnitude
from custom.transforms.meta import header_of, name_of, without_meta

__all__ = ["EnsureMagnituded", "NegativeValues", "RestoreIntensityd", "ScaleIntensityByPercentiled"]

#: What becomes of values below 0: "refuse" keeps the undershoot of resampled magnitudes and refuses signed images;
#: "clip" sets them to 0; "magnitude" takes their absolute values.
NegativeValues = Literal["refuse", "clip", "magnitude"]


class EnsureMagnituded(MapTransform):
    """Let magnitude images pass, and refuse signed ones or make magnitudes of them.

    Args:
        keys: keys of tensors (frames, *spatial).
        negative_values: see `NegativeValues`.
        allow_missing_keys: pass over keys that an item lacks.

    Raises:
        UsageError: for an unknown `negative_values`.
    """

    def __init__(
        self, keys: KeysCollection, negative_values: NegativeValues = "refuse", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if negative_values not in get_args(NegativeValues):
            raise UsageError(
                f"negative_values is {negative_values!r}; give one of {', '.join(get_args(NegativeValues))}"
            )
        self.negative_values = negative_values

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Treat every key.

        Raises:
            InputError: with "refuse", for an image that is signed by its values (`why_signed`) or by its DICOM header,
                naming its file and what was found.
        """
        result = dict(data)
        for key in self.key_iterator(result):
            image: torch.Tensor = result[key]
            if self.negative_values == "clip":
                result[key] = image.clamp(min=0)
            elif self.negative_values == "magnitude":
                result[key] = image.abs()
            elif found := "; ".join(filter(None, (_said_by_header(image), why_signed(image)))):
                raise InputError(
                    f"{name_of(image) or key}: not a magnitude image, which the model was made for: {found}. Give the "
                    "magnitude image, or undo a normalisation to mean 0; or make magnitudes of it by "
                    "--negative_values clip (values below 0 become 0) or magnitude (they lose their sign)"
                )
        return result


def _said_by_header(image: torch.Tensor) -> str:
    """Say why the DICOM header of a scan makes it no magnitude image; "" where it does not, or there is none."""
    source = header_of(image).source
    return "" if source is None or source.stack is None else why_not_magnitude(source.stack.frames[0][0])


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
                values = without_meta(image)
                for window in windows(values):
                    values[window] *= scale
            result[key] = image
        return result


def _share_memory(image: torch.Tensor, other: Any) -> bool:
    return isinstance(other, torch.Tensor) and image.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
