"""Averaging over flips of the input."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer, SimpleInferer
from torch import Tensor

from custom.degradations import Grid
from custom.errors import UsageError
from custom.options import switch

__all__ = ["FlipEnsemble"]


class FlipEnsemble(Inferer):
    """Average the results for the input and its mirror images along every spatial axis.

    It costs 2^d times the network for d axes and gains a little accuracy. It is right only where a flip maps the
    low-resolution grid onto itself: on pixel-centre grids, not after decimation at the corner.

    Args:
        grid: of the degradation that the network was trained for.
        enabled: False passes the input straight on; a config switches the ensemble by it.
        inferer: how one orientation is treated; the bare network by default.

    Raises:
        UsageError: where the ensemble is enabled and the grid is not symmetric.

    Source: Timofte et al. 2016, "Seven ways to improve example-based single image super resolution", section 3.7.
    """

    def __init__(self, grid: Grid, enabled: bool | str = True, inferer: Inferer | None = None) -> None:
        self.enabled = switch("flip_ensemble", enabled)
        if self.enabled and not grid.is_symmetric:
            raise UsageError(
                f"flip_ensemble: on the grid of this degradation (scale {grid.scale}, offset {grid.offset} voxels) the "
                "mirror images lie beside each other; leave flip_ensemble out"
            )
        self.inferer = inferer or SimpleInferer()

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Apply the network to `(B, C, *spatial)`."""
        if not self.enabled:
            return self.inferer(inputs, network, *args, **kwargs)
        axes = range(2, inputs.ndim)
        flips = [subset for n in range(len(axes) + 1) for subset in itertools.combinations(axes, n)]
        total: Tensor | None = None
        for flip in flips:
            result = torch.flip(self.inferer(torch.flip(inputs, flip), network, *args, **kwargs), flip)
            total = result if total is None else total.add_(result)
        assert total is not None
        return total / len(flips)
