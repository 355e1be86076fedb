"""Means over subjects with their uncertainty.

Source: Efron and Tibshirani 1993, chapter 13 (percentile interval).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Interval", "mean_interval", "paired_difference"]

_RESAMPLES = 10_000
_SEED = 20240229


@dataclass(frozen=True)
class Interval:
    """A mean and its interval; all NaN where there was no value."""

    mean: float
    low: float
    high: float


def mean_interval(values: Sequence[float], confidence: float = 0.95, resamples: int = _RESAMPLES) -> Interval:
    """Return the mean of one value a subject with its percentile bootstrap interval.

    The generator starts from a fixed number, so that the same values always give the same interval. NaN values are
    left out. One value has no spread to show: low = high = mean.
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if known.size == 0:
        return Interval(math.nan, math.nan, math.nan)
    mean = float(known.mean())
    if known.size == 1:
        return Interval(mean, mean, mean)
    drawn = np.random.default_rng(_SEED).integers(known.size, size=(resamples, known.size))
    tail = (1 - confidence) / 2
    low, high = np.quantile(known[drawn].mean(axis=1), (tail, 1 - tail))
    # Rounding may put the mean of equal values a last digit outside.
    return Interval(mean, min(float(low), mean), max(float(high), mean))


def paired_difference(values: Sequence[float], reference: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return the mean of values - reference, subject by subject, with its interval.

    Raises:
        ValueError: if the two are not of one length.
    """
    if len(values) != len(reference):
        raise ValueError(f"values has {len(values)} subjects and reference {len(reference)}; they must be the same")
    differences = np.asarray(values, dtype=np.float64) - np.asarray(reference, dtype=np.float64)
    return mean_interval(differences.tolist(), confidence)
