"""Pairs of low and high resolution, made on the device from a batch of high-resolution images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from custom.arrays.intensity import intensity_scale
from custom.degradations import Degradation, RandomFamily

__all__ = ["FamilyPairs", "PatchPairs", "VolumePair"]


class PatchPairs:
    """Degrade high-resolution patches and crop the border: a `prepare_batch` of MONAI's trainers.

    Takes {"label": `(B, C, *(patch + 2 * border))`} and returns the low-resolution patches `(B, C, *(patch / s))` and
    the middle channel of the high-resolution ones, `(B, 1, *patch)`. The border holds the neighbours that the
    degradation reads at the edge of a patch. The low-resolution grid begins at the patch.

    Args:
        degradation: on as many axes as a patch has. One that reads the whole image takes the patch for the image.

    Attributes:
        border: how many voxels beyond a patch are read, per axis; None if it takes the patch for the whole image.
    """

    def __init__(self, degradation: Degradation) -> None:
        self.degradation = degradation
        self.border = degradation.border

    def __call__(
        self, batchdata: Mapping[str, Tensor], device: torch.device, non_blocking: bool = False, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Make the pair on `device`."""
        hr = batchdata["label"].to(device, non_blocking=non_blocking)
        with torch.no_grad():
            lr = self.degradation(hr)
        middle = hr.shape[1] // 2
        hr = hr[:, middle : middle + 1]
        for axis, (width, scale) in enumerate(
            zip(self.degradation.border or (), self.degradation.scale_factor, strict=False), start=2
        ):
            hr = hr.narrow(axis, width, hr.shape[axis] - 2 * width)
            lr = lr.narrow(axis, width // scale, lr.shape[axis] - 2 * (width // scale))
        return lr, hr


class FamilyPairs:
    """Make pairs of patches by a random family of degradations: a `prepare_batch` of MONAI's trainers.

    Takes {"label": `(B, C, *(patch + 2 * border))`} with the border of the family, returns the low-resolution
    `(B, C, *(patch / s))` and the high-resolution `(B, 1, *patch)` of the middle channel.

    Args:
        family: draws a degradation for each patch, and changes contrast, brightness and size of what it shows.

    Attributes:
        border: how many voxels beyond a patch are read, per axis.
    """

    def __init__(self, family: RandomFamily) -> None:
        self.family = family
        self.border = family.border

    def __call__(
        self, batchdata: Mapping[str, Tensor], device: torch.device, non_blocking: bool = False, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Make the pair on `device`."""
        lr, hr = self.family(batchdata["label"].to(device, non_blocking=non_blocking))
        middle = hr.shape[1] // 2
        return lr, hr[:, middle : middle + 1]


class VolumePair:
    """Degrade one whole scan and bring the pair to network units: a `prepare_batch` of evaluators.

    Takes {"label": `(1, frames, *spatial)` in the units of the file}; each frame is degraded by itself. The intensity
    scale, one for all frames, comes from the low-resolution image alone, as at inference; both are divided by it.

    Args:
        degradation: of whole scans; a 2D one within `SliceBySlice`.
    """

    def __init__(self, degradation: Degradation) -> None:
        self.degradation = degradation

    def __call__(
        self, batchdata: Mapping[str, Tensor], device: torch.device, non_blocking: bool = False, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Make the pair on `device`: low-resolution and high-resolution `(1, frames, *spatial)`."""
        hr = torch.as_tensor(batchdata["label"]).as_subclass(Tensor).to(device, non_blocking=non_blocking)
        with torch.no_grad():
            lr = self.degradation(hr)
        scale = intensity_scale(lr)
        return lr / scale, hr / scale
