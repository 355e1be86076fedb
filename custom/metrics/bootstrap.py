"""The mean over subjects and its bootstrap interval.

Source: Efron and Tibshirani 1993, chapter 13 (percentile interval).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Interval", "mean_interval", "paired_difference"]

_RESAMPLES = 10_000
_RANDOM_SEED = 20240229
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval, in the units of the values; all three are NaN if there was no value."""

    mean: float
    low: float
    high: float


def mean_interval(values: Sequence[float]) -> Interval:
    """Return the mean of the values, one for each subject, with its 95 % percentile bootstrap interval.

    The random seed is fixed, so that the same values always give the same interval. NaN values are left out. For a
    single value low = high = mean.
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if known.size == 0:
        return Interval(math.nan, math.nan, math.nan)
    mean = float(known.mean())
    if known.size == 1:
        return Interval(mean, mean, mean)
    drawn = np.random.default_rng(_RANDOM_SEED).integers(known.size, size=(_RESAMPLES, known.size))
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(known[drawn].mean(axis=1), (tail, 1 - tail))
    # Rounding may put the mean of equal values outside the interval by the last digit.
    return Interval(mean, min(float(low), mean), max(float(high), mean))


def paired_difference(values: Sequence[float], reference: Sequence[float]) -> Interval:
    """Return the mean of values - reference over subjects, with its 95 % interval.

    Args:
        values: one for each subject.
        reference: of the same subjects, in the same order. A pair with a NaN is left out.

    Raises:
        ValueError: if values and reference have different lengths.
    """
    if len(values) != len(reference):
        raise ValueError(f"values has {len(values)} subjects and reference {len(reference)}; they must be the same")
    differences = np.asarray(values, dtype=np.float64) - np.asarray(reference, dtype=np.float64)
    return mean_interval(differences.tolist())
