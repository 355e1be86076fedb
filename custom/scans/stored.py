"""Values as files store them."""

from __future__ import annotations

import numpy as np

from custom.arrays.mapped import windows

__all__ = ["count_not_finite", "stored_values"]


def stored_values(array: np.ndarray, dtype: str, slope: float = 1.0, intercept: float = 0.0) -> np.ndarray:
    """Bring values to the stored type; integers are rounded and clipped, never wrapped.

    Args:
        array: real numbers, any shape, in units.
        dtype: numpy name of the stored type.
        slope: units to a stored value, where integers are stored.
        intercept: units of the stored value 0, where integers are stored.

    Returns:
        An array of its own, in the order of Fortran, in which NIfTI stores it.
    """
    stored = np.empty(array.shape, dtype, order="F")
    integer = np.issubdtype(stored.dtype, np.integer)
    for window in windows(array):
        if integer:
            limits = np.iinfo(dtype)
            values = np.rint((array[window].astype(np.float64) - intercept) / slope)
            stored[window] = np.clip(values, limits.min, limits.max)
        else:
            stored[window] = array[window]
    return stored


def count_not_finite(array: np.ndarray) -> int:
    """Count the values that are NaN or infinite."""
    return sum(int(array[window].size - np.isfinite(array[window]).sum()) for window in windows(array))
