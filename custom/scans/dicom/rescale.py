"""Slope and intercept with which real numbers in the units of a source are stored in 16 bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom.valuerep import format_number_as_ds

__all__ = ["Rescale", "choose_rescale", "decimal_string"]

# One less than 16 bits have: the last value must still fit after the slope was rounded to 16 characters.
_LEVELS = 65534


@dataclass(frozen=True)
class Rescale:
    """Units = slope * stored + intercept.

    Attributes:
        slope: units per stored value, as it is written: 16 characters at most.
        intercept: units of the stored value 0, as it is written.
        signed: whether the stored values are int16; else they are uint16.
    """

    slope: float
    intercept: float
    signed: bool

    @property
    def dtype(self) -> np.dtype:
        """The little-endian stored type."""
        return np.dtype("<i2" if self.signed else "<u2")

    def stored(self, values: np.ndarray) -> np.ndarray:
        """Quantise values of any shape; rounded, and clipped rather than wrapped."""
        limits = np.iinfo(self.dtype)
        levels = np.rint((np.asarray(values, dtype=np.float64) - self.intercept) / self.slope)
        return np.clip(levels, limits.min, limits.max).astype(self.dtype)


def choose_rescale(low: float, high: float, slope: float, intercept: float, signed: bool) -> Rescale:
    """Choose how values between two limits are stored: as in the source, if the range allows.

    The source's slope is kept if the range fits into 16 bits, so that no value is off by more than half a stored unit
    of the source. Its intercept is kept too, unless neither signed nor unsigned numbers hold the range with it. A wider
    range gets the finest slope that holds it.

    Args:
        low: smallest value, in units.
        high: largest value, in units.
        slope: of the source.
        intercept: of the source.
        signed: whether the stored values of the source are signed.
    """
    step = abs(slope) if np.isfinite(slope) and slope != 0.0 else 1.0
    step, start = _as_written(step), _as_written(intercept if np.isfinite(intercept) else 0.0)
    with np.errstate(over="ignore"):
        first, last = np.rint((low - start) / step), np.rint((high - start) / step)
    for is_signed in (signed, not signed):
        limits = np.iinfo(np.int16 if is_signed else np.uint16)
        if limits.min <= first and last <= limits.max:
            return Rescale(step, start, is_signed)
    if (high - low) / step > _LEVELS:
        step = _as_written((high - low) / _LEVELS)
    return Rescale(step, _as_written(low), False)


def decimal_string(value: float) -> str:
    """Format a number as a DICOM decimal string (DS): 16 characters at most, as many digits as fit."""
    text = format_number_as_ds(float(value) + 0.0)  # + 0.0 makes -0.0 a plain 0
    return text.removesuffix(".0")


def _as_written(value: float) -> float:
    return float(decimal_string(value))
