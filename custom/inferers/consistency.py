"""Results that agree with their input."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Literal, get_args

from monai.inferers import Inferer, SimpleInferer
from torch import Tensor

from custom.arrays.mapped import release
from custom.arrays.noise import noise_level
from custom.degradations import Degradation, Grid, PseudoInverse
from custom.errors import InputError, UsageError
from custom.options import number_above_0

__all__ = ["ConsistencyMode", "DataConsistency"]

logger = logging.getLogger(__name__)

# Scans of one batch mostly have one size.
_KEPT_INVERSES = 8

#: "off" leaves results as the network makes them, "exact" makes them agree with the input, and "regularised" brings
#: them as near to it as its noise deserves.
ConsistencyMode = Literal["exact", "regularised", "off"]


class DataConsistency(Inferer):
    r"""Change a result as little as possible so that, degraded again, it is the input.

    With y the input, x the result and A the degradation, the result becomes `x + A+ (y - A x)`, where A+ is the
    pseudo-inverse ("exact"). What A does not see of x stays as it is, and so does what A weakens to below 5 % of the
    strongest: to make this agree would amplify noise and rounding. A warning says so.

    An exact result has the noise of the input. For noise of variance v, and errors of the network that are white with
    variance p, the most probable result is `x + A^T (A A^T + v / p I)^-1 (y - A x)` ("regularised"). v is estimated in
    each frame by `custom.arrays.noise.noise_level`; the root of p is `expected_error`.

    This is the outermost of a chain of inferers, so that slices are whole where tiles are used, and each result of a
    network that reads several slices is compared with the slice that it is of. Each frame and each image that the
    degradation takes by itself (`Degradation.independent_images`) is treated by itself. The memory in use is the
    result, which is changed in place, and what one image takes.

    Args:
        degradation: of which the input is taken to be; a 2D one within `SliceBySlice`.
        mode: see `ConsistencyMode`.
        grid: that of the network's results, on which the degradation has to be; None is not checked.
        limit: an image whose result is further from its input than this stays as it is, so that
            `custom.transforms.CheckConsistencyd`, whose limit this is, sees and refuses it; also as a text.
        expected_error: the root mean squared error of the network's results, in units of the intensity scale; 0.03 is a
            PSNR of 30 dB. A number above 0, also as a text.
        inferer: how the result is made; the bare network by default.

    Raises:
        UsageError: for an unknown mode, a degradation on another grid, or a limit or an error that is not above 0.
    """

    def __init__(
        self,
        degradation: Degradation,
        mode: ConsistencyMode = "off",
        grid: Grid | None = None,
        limit: float | str = "inf",
        expected_error: float | str = 0.03,
        inferer: Inferer | None = None,
    ) -> None:
        if mode not in get_args(ConsistencyMode):
            raise UsageError(f"data_consistency is {mode!r}; give one of {', '.join(get_args(ConsistencyMode))}")
        if grid not in (None, degradation.grid):
            raise UsageError(
                f"acquisition is on {degradation.grid}, but results are on {grid}; give both the same grid"
            )
        self.degradation = degradation
        self.mode = mode
        self.limit = number_above_0("consistency_limit", limit)
        self.expected_error = number_above_0("expected_error", expected_error)
        self.inferer = inferer or SimpleInferer()
        self._inverses: dict[tuple[int, ...], PseudoInverse] = {}

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Apply the network to `(B, frames, *spatial)`; returns `(B, frames, *(s * spatial))`.

        Raises:
            UsageError: for a degradation without a pseudo-inverse.
            InputError: where the noise of a frame has to be estimated and cannot be.
        """
        result: Tensor = self.inferer(inputs, network, *args, **kwargs)
        if self.mode == "off":
            return result
        if result.shape == inputs.shape:  # a network that changes nothing may return its input itself
            result = result.clone()
        lr = inputs.as_subclass(Tensor).to(result.device)
        for item in range(len(lr)):
            for frame in range(lr.shape[1]):
                one = (slice(item, item + 1), slice(frame, frame + 1))
                self._agree(result[one], lr[one])
        return result

    def _agree(self, sr: Tensor, lr: Tensor) -> None:
        """Change the result of one frame, `(1, 1, *spatial)`, in place."""
        weight = 0.0
        if self.mode == "regularised":
            try:
                weight = (noise_level(lr[0, 0]) / self.expected_error) ** 2
            except InputError as error:
                raise InputError(f"data_consistency regularised: {error}; give exact or off") from error
        # Views, so that writing to an image writes to the frame.
        highs, lows = (self.degradation.independent_images(images) for images in (sr, lr))
        for high, low in zip(highs, lows, strict=True):
            missing = (low - self.degradation(high[None])[0])[None]
            if float(missing.abs().max()) > self.limit * max(1.0, float(low.abs().max())):
                continue
            high += self._inverse(tuple(high.shape[1:]))(missing, weight)[0]
            release(high)

    def _inverse(self, size: tuple[int, ...]) -> PseudoInverse:
        if size not in self._inverses:
            if len(self._inverses) >= _KEPT_INVERSES:
                self._inverses.clear()
            inverse = self.degradation.pseudo_inverse(size)
            self._inverses[size] = inverse
            left = inverse.kept.numel() - int(inverse.kept.count_nonzero())
            if left:
                logger.warning(
                    "data_consistency %s: the degradation weakens %d of the %d components of an image too much to be "
                    "undone in a stable way; in these the result stays as the network makes it",
                    self.mode,
                    left,
                    inverse.kept.numel(),
                )
        return self._inverses[size]
