"""Intervals over seeds, against SciPy's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import floats, integers
from scipy import stats

from ppr.methods.common.measuring.seeds import Estimate, mean_interval, paired_difference, standard_error

SAMPLES = arrays(np.float64, integers(2, 40), elements=floats(-1e3, 1e3))


@given(values=SAMPLES, confidence=floats(0.5, 0.999))
def test_an_estimate_is_students(values, confidence):
    estimate = Estimate.of(values, confidence)
    assert estimate.mean == pytest.approx(values.mean())
    assert estimate.deviation == pytest.approx(values.std(ddof=1))
    half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * stats.sem(values)
    assert estimate.interval == pytest.approx(half)
    assert standard_error(values) == pytest.approx(stats.sem(values))


def test_one_value_has_no_interval_and_none_no_mean():
    estimate = Estimate.of([3.0])
    assert estimate.mean == 3
    assert math.isnan(estimate.interval) and math.isnan(estimate.deviation) and math.isnan(standard_error([3.0]))
    for wrong in ([], [[1.0, 2.0]]):
        with pytest.raises(ValueError, match="one dimension"):
            Estimate.of(wrong)


def test_intervals_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    mean, half = mean_interval(rng.normal(0, 1, (8, 4000)))
    assert (np.abs(mean) <= half).mean() == pytest.approx(0.95, abs=0.01)


def test_pairs_take_out_what_the_seeds_share():
    """Seeds differ by 10, the methods by 1: only the pairs show it."""
    rng = np.random.default_rng(1)
    shared, noise = rng.normal(0, 10, 12), rng.normal(0, 0.1, (2, 12))
    ours, theirs = shared + 1 + noise[0], shared + noise[1]
    difference = paired_difference(ours, theirs)
    expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert (difference.mean - difference.interval, difference.mean + difference.interval) == pytest.approx((expected.low, expected.high))
    assert difference.mean - difference.interval > 0.8
    assert Estimate.of(ours).interval > 3
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_difference(ours, theirs[1:])
