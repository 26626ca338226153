"""Shares of each field."""

from __future__ import annotations

import numpy as np
import pytest

from ppr.methods.codedmarl import naive
from ppr.methods.codedmarl.codes.field import combine, from_bytes, to_bytes

from ....counting import calls


def test_real_shares_are_the_padded_sum():
    updates = [np.array([1, 2, 3], np.float32), np.array([10, 20], np.float32)]
    for field, dtype in (("real64", np.float64), ("real32", np.float32)):
        share = combine(field, [2.0, -0.5], updates, 4)
        assert share.dtype == dtype
        np.testing.assert_array_equal(share, [-3, -6, 6, 0])


def test_float64_shares_keep_what_float32_would_lose():
    updates = [np.array([1.0], np.float32), np.array([1.0], np.float32)]
    assert combine("real64", [1.0, 1e-9], updates, 1)[0] - 1 == pytest.approx(1e-9, rel=1e-6)
    assert combine("real32", [1.0, 1e-9], updates, 1)[0] == 1


def test_a_gf256_share_is_a_sum_of_the_bytes_of_the_floats():
    random = np.random.default_rng(0)
    updates = [random.standard_normal(length).astype(np.float32) for length in (5, 3, 0)]
    padded = np.zeros((3, 20), np.uint8)
    for row, update in zip(padded, updates, strict=True):
        row[: 4 * len(update)] = np.frombuffer(update.astype("<f4").tobytes(), np.uint8)
    coefficients = np.array([7, 200, 3], np.uint8)
    share = combine("gf256", coefficients, updates, 5)
    assert share.dtype == np.uint8
    np.testing.assert_array_equal(share, naive.combination(coefficients.tolist(), padded))


def test_bytes_bring_every_float_back_bit_for_bit():
    floats = np.array([0.0, -0.0, np.inf, np.nan, 1e-45, 3.4e38, -1.5], np.float32)
    assert from_bytes(to_bytes(floats)).tobytes() == floats.tobytes()


@pytest.mark.parametrize("field", ["gf256", "real64", "real32"])
def test_no_updates_make_a_share_of_zeros(field):
    assert not combine(field, [], [], 3).any()


@pytest.mark.parametrize(("coefficients", "lengths"), [([1.0], (5,)), ([1.0, 2.0], (4,)), ([1.0], (4, 4))])
def test_updates_that_do_not_fit_are_refused(coefficients, lengths):
    with pytest.raises(ValueError, match="coefficients"):
        combine("real64", coefficients, [np.zeros(length, np.float32) for length in lengths], 4)


def test_a_share_over_gf256_goes_through_no_numbers_one_by_one():
    """Eight updates of 156 kB (the paper's networks for 8 agents) in a row take 1 ms."""
    found = []
    for length in (390, 39_046):
        updates = [np.random.default_rng(i).standard_normal(length).astype(np.float32) for i in range(8)]
        found.append(calls(combine, "gf256", range(2, 10), updates, length))
    assert found[0] == found[1]
