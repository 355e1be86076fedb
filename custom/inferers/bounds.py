"""No result far outside of the values of its input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from monai.inferers import Inferer, SimpleInferer
from torch import Tensor

from custom.arrays.mapped import windows
from custom.errors import UsageError

__all__ = ["Bounds"]

# Times the range of the input.
_NO_OVERSHOOT = 3.0


class Bounds(Inferer):
    """Clip what a network gives by the values of its input, so that edges do not ring far.

    Two bounds, both parts of the range of the input (its largest value less its smallest):

    - `overshoot`: how far a voxel of the result may lie above the largest, or below the smallest, value of the input
      within `reach` voxels around it, along the axes that are enlarged. Beside a clean step a sharpened image
      overshoots, and a network takes a smooth scan for a blurred one; small structures that the input has averaged
      away have to stay possible, so the bound is not 0. What was blurred over several voxels had values far beyond
      those around it; for such a degradation the bound is wider and holds for the whole input.
    - `floor`: how far any voxel may lie below the smallest value of the whole input. Magnitudes are not negative, so in
      air an undershoot is always wrong. What is 0 is not asked: a network that is equivariant to a shift stays so.

    A result that lies farther outside of the input than three times its range is no overshoot: it is left as it is, so
    that what checks results sees it.

    Args:
        floor: see above.
        overshoot: see above; None for no such bound, as for a network that undoes a blur over many voxels.
        reach: in voxels of the input; None for the whole input.
        inferer: how the scan is treated; the bare network by default.

    Raises:
        UsageError: for a negative bound, or a reach below 1.
    """

    def __init__(
        self,
        floor: float = 0.02,
        overshoot: float | None = 0.075,
        reach: int | None = 3,
        inferer: Inferer | None = None,
    ) -> None:
        if floor < 0 or (overshoot or 0) < 0 or (reach is not None and reach < 1):
            raise UsageError(
                f"floor is {floor}, overshoot {overshoot}, reach {reach}; give bounds of 0 or more and a reach of 1 or "
                "more"
            )
        self.floor = floor
        self.overshoot = overshoot
        self.reach = reach
        self.inferer = inferer or SimpleInferer()

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Apply the network to one scan `(B, frames, *spatial)`; returns `(B, frames, *(s * spatial))`."""
        result: Tensor = self.inferer(inputs, network, *args, **kwargs)
        if result.requires_grad:
            result = result.clone()
        lowest, highest = float(inputs.min()), float(inputs.max())
        values = result.as_subclass(Tensor)
        if highest > lowest and not _distance(values, lowest, highest) <= _NO_OVERSHOOT * (highest - lowest):
            return result
        low, high, margin = lowest - self.floor * (highest - lowest), None, 0.0
        if self.overshoot is not None:
            margin = self.overshoot * (highest - lowest)
            low, high = max(low, lowest - margin), highest + margin
        for window in windows(values):
            values[window].clamp_(low, high)
        if self.overshoot is not None and self.reach is not None:
            _bound_overshoot(values, inputs.as_subclass(Tensor), self.reach, margin)
        return result


def _distance(values: Tensor, lowest: float, highest: float) -> float:
    """Return how far the farthest value lies outside of a range; NaN if one is NaN."""
    ends = [torch.stack(values.detach()[window].aminmax()) for window in windows(values)]
    least, largest = torch.stack(ends).unbind(1)
    return max(float(largest.max()) - highest, lowest - float(least.min()))


def _bound_overshoot(result: Tensor, inputs: Tensor, around: int, margin: float) -> None:
    """Clip in place, without another image of the size of the result."""
    scale = [large // small for large, small in zip(result.shape[2:], inputs.shape[2:], strict=True)]
    reach = [around if s > 1 else 0 for s in scale]
    kernel = [2 * r + 1 for r in reach]
    largest = F.max_pool2d if len(scale) == 2 else F.max_pool3d
    above = largest(inputs, kernel, 1, reach) + margin
    below = -largest(-inputs, kernel, 1, reach) - margin
    # Each voxel of the input beside the block of voxels that it became: (B, frames, n, s, n, s, ...).
    blocks = [part for n, s in zip(inputs.shape[2:], scale, strict=True) for part in (n, s)]
    beside = [part for n in inputs.shape[2:] for part in (n, 1)]
    values = result.view(*result.shape[:2], *blocks)
    low, high = (
        bound.reshape(*result.shape[:2], *beside).to(values.device).expand(values.shape) for bound in (below, above)
    )
    for window in windows(values):
        values[window].clamp_(low[window], high[window])
