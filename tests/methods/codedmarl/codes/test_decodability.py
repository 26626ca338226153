"""Which sets of shares determine every agent: against the rank of every subset, published tables, and itself on all the ways to count."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppr.methods.codedmarl import naive
from ppr.methods.codedmarl.codes import decodability, tracker
from ppr.methods.codedmarl.codes.construction import build
from ppr.methods.codedmarl.codes.decodability import (
    Tolerance,
    condition,
    decodable_fraction,
    decodable_sets,
    tolerance,
    tolerance_bounds,
)
from ppr.methods.codedmarl.codes.matrices import from_matrix

from .awkward import awkward_matrix

#: P(dec | k) of 15 learners, k = 0, 1 … (computed before by the rank of every subset).
TABLES = [
    ("replication", 8, [1, 0.9333, 0.8, 0.6154, 0.4103, 0.2238, 0.0895, 0.0199]),
    ("replication", 10, [1, 0.6667, 0.3810, 0.1758, 0.0586, 0.0107]),
    ("ldpc", 8, [1, 1, 0.9429, 0.8286, 0.6681, 0.4835, 0.2877, 0.1119]),
    ("ldpc", 10, [1, 1, 0.9429, 0.8286, 0.6242, 0.3197]),
    ("mds", 8, [1] * 8),
    ("mds", 10, [1] * 6),
]


@pytest.mark.parametrize("field", ["real64", "gf256"])
@pytest.mark.parametrize(("family", "agents", "table"), TABLES)
def test_decodable_fractions_are_the_published_ones(field, family, agents, table):
    code = build(family, 15, agents, field=field)
    found = [decodable_fraction(code, k) for k in range(16 - agents)]
    assert [one.probability for one in found] == pytest.approx(table, abs=5e-5)
    assert all(one.exact and one.sets == math.comb(15, k) for k, one in enumerate(found))
    assert decodable_fraction(code, 16 - agents).probability == 0


@pytest.mark.parametrize("field", ["real64", "gf256"])
def test_a_decodable_fraction_is_that_of_all_erasures_one_by_one(field):
    matrix = np.array([[1, 2, 0], [1, 2, 0], [0, 3, 1], [0, 0, 5], [7, 0, 0], [4, 4, 4]])
    code = from_matrix(matrix, field)
    for lost in range(4):
        assert decodable_fraction(code, lost).probability == pytest.approx(naive.decodable_fraction(code.matrix, lost, field))


def test_peeling_alone_would_decode_fewer_erasures_of_the_ldpc_code():
    code = build("ldpc", 15, 10)
    erased = list(itertools.combinations(range(15), 4))
    by_peeling = [tracker.peeled(code.entries[np.setdiff1d(np.arange(15), lost)]).all() for lost in erased]
    assert np.mean(by_peeling) == pytest.approx(0.605, abs=5e-4)
    assert decodable_fraction(code, 4).probability == pytest.approx(0.624, abs=5e-4)


@given(st.integers(1, 4), st.integers(0, 4), st.sampled_from(["dense", "sparse", "copies"]), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_the_tolerance_is_the_last_level_at_which_no_erasure_hurts(agents, spare, kind, seed):
    matrix = awkward_matrix(agents + spare, agents, kind, np.random.default_rng(seed))
    code = from_matrix(matrix)
    assert tolerance(code) == code.tolerance == naive.tolerance(matrix)
    assert tolerance_bounds(code).at_most == code.tolerance


def test_where_there_are_too_many_erasures_only_bounds_are_given(monkeypatch):
    monkeypatch.setattr(decodability.erasures, "MAX_WORK", 1e8)
    random = np.random.default_rng(0)
    matrix = random.standard_normal((40, 20)).round(2)
    matrix[39] = matrix[38]
    code = from_matrix(matrix)
    assert tolerance_bounds(code) == Tolerance(proven=2, at_most=20) and code.tolerance == 2


def test_too_many_erasures_are_estimated_with_an_error(monkeypatch):
    code = build("ldpc", 15, 8)
    exact = decodable_fraction(code, 4)
    monkeypatch.setattr(decodability.erasures, "MAX_SETS", 10)
    estimated = decodable_fraction(code, 4)
    assert exact.exact and not estimated.exact and estimated.sets == 10_000
    assert 0.003 < estimated.standard_error < 0.006
    assert abs(estimated.probability - exact.probability) < 4 * estimated.standard_error


def test_large_codes_are_estimated_from_fewer_erasures():
    code = build("replication", 200, 100)
    found = decodable_fraction(code, 5)
    expected = math.prod((200 - 2 * k) / (200 - k) for k in range(5))  # no two of the five hold the same agent
    assert found.sets == 300 and abs(found.probability - expected) < 4 * found.standard_error


def test_more_lost_learners_than_there_are_is_nonsense():
    with pytest.raises(ValueError, match="16 of 15"):
        decodable_fraction(build("mds", 15, 8), 16)


def test_the_condition_is_that_of_rows_of_unit_norm():
    matrix = np.array([[1, 0], [0, 1e-6], [1, 1]])
    code = from_matrix(matrix)
    assert condition(code, [0, 1]) == pytest.approx(1)
    assert condition(code, [0, 2]) == pytest.approx(np.linalg.cond([[1, 0], [0.5**0.5, 0.5**0.5]]))
    assert condition(code, [0]) == condition(code, [0, 0]) == math.inf
    assert condition(build("mds", 5, 3, field="gf256"), [0, 1, 2]) == condition(build("multi", 5, 3), [0, 1, 2, 3, 4]) == 1
    assert condition(build("mds", 5, 3, field="gf256"), [0, 1]) == math.inf


def test_nearly_dependent_rows_are_decodable_but_ill_conditioned():
    code = from_matrix([[1, 1], [1, 1 + 1e-9], [1, 1]])
    assert code.tolerance == 0 and decodable_sets(code, np.array([[True, True, False], [True, False, True]])).tolist() == [True, False]
    assert 1e9 < condition(code, [0, 1]) < 1e10
