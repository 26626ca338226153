"""What several seeds say: a mean with its confidence interval, and the difference of two methods that had the same seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
Values: TypeAlias = Sequence[float] | NDArray[np.floating]


@dataclass(frozen=True)
class Estimate:
    """A mean, the half width of its interval (Student's t) and the deviation of the values; the latter two NaN from a single value."""

    mean: float
    interval: float
    deviation: float

    @classmethod
    def of(cls, values: Values, confidence: float = CONFIDENCE) -> Estimate:
        """The mean of independent values [n].

        Raises:
            ValueError: not a line of values, or none.
        """
        sample = np.asarray(values, np.float64)
        if sample.ndim != 1 or not len(sample):
            raise ValueError(f"an estimate needs values in one dimension, not {list(sample.shape)}")
        mean, interval = mean_interval(sample, confidence)
        deviation = sample.std(ddof=1) if len(sample) > 1 else np.nan
        return cls(float(mean), float(interval), float(deviation))


def mean_interval(values: NDArray[np.floating], confidence: float = CONFIDENCE) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean over the first axis [n, ...] and the half width of its interval, NaN for n = 1."""
    from scipy.special import stdtrit  # scipy.stats, which calls the same, takes a second to import

    sample = np.asarray(values, np.float64)
    count = len(sample)
    if count < 2:
        return sample.mean(0), np.full(sample.shape[1:], np.nan)
    return sample.mean(0), stdtrit(count - 1, (1 + confidence) / 2) * sample.std(0, ddof=1) / count**0.5


def standard_error(values: Values) -> float:
    """Standard error of the mean of independent values; NaN from a single one."""
    sample = np.asarray(values, np.float64)
    return float(sample.std(ddof=1) / math.sqrt(len(sample))) if len(sample) > 1 else float("nan")


def paired_difference(ours: Values, theirs: Values, confidence: float = CONFIDENCE) -> Estimate:
    """By how much `ours` is larger, value by value: what the seeds have in common (a split, a start) does not widen the interval.

    Raises:
        ValueError: another number of values.
    """
    one, other = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if one.shape != other.shape:
        raise ValueError(f"{list(one.shape)} values cannot be paired with {list(other.shape)}")
    return Estimate.of(one - other, confidence)
