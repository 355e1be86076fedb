"""The dictionary transform that lets no result pass that contradicts its input."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from custom.degradations import Degradation
from custom.errors import InputError
from custom.metrics import largest_inconsistency
from custom.options import number_above_0
from custom.transforms.meta import name_of, without_meta

__all__ = ["CheckConsistencyd"]


class CheckConsistencyd(MapTransform):
    """Degrade results again and compare them with their inputs, both in units of the intensity scale.

    A network that was given what it was not trained for can answer with any values. Degraded again, such a result is
    far from the input.

    Args:
        keys: keys of results (frames, *spatial).
        source: key of the input (frames, *spatial).
        degradation: that the network was made for; a 2D one within `SliceBySlice`.
        limit: of `custom.metrics.largest_inconsistency`; a number above 0, also as a text; "inf" lets all pass.
        allow_missing_keys: pass over keys that an item lacks.

    Raises:
        UsageError: for a limit that is not a number above 0.
    """

    def __init__(
        self,
        keys: KeysCollection = "pred",
        source: str = "image",
        *,
        degradation: Degradation,
        limit: float | str,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.source = source
        self.degradation = degradation
        self.limit = number_above_0("consistency_limit", limit)

    @torch.no_grad()
    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Check every key.

        Raises:
            InputError: where a result contradicts its input, naming the file, the difference and the limit.
        """
        result = dict(data)
        source: torch.Tensor = result[self.source]
        for key in self.key_iterator(result):
            sr = without_meta(result[key])[None]
            lr = without_meta(source)[None].to(sr.device)
            found = largest_inconsistency(sr, lr, self.degradation)
            if not found <= self.limit:
                raise InputError(
                    f"{name_of(source) or key}: the result contradicts the scan, so it is not written: degraded again, "
                    f"it differs from it by up to {found:.3g} of its largest values, and the limit of this model is "
                    f"{self.limit:.3g}. The model was not made for such a scan; the card of the bundle says for which "
                    "(--consistency_limit gives another limit)"
                )
        return result
