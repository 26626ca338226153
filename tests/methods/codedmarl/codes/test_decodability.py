"""Which shares determine every agent: against numpy's rank, published tables, and itself on all the ways to count."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from ppr.methods.codedmarl.codes import decodability, gf256
from ppr.methods.codedmarl.codes.code import build, from_matrix
from ppr.methods.codedmarl.codes.decodability import (
    Tolerance,
    condition,
    decodable_sets,
    decodable_share,
    tolerance,
    tolerance_bounds,
    tracker,
)
from ppr.methods.codedmarl.codes.span import GenericSpan, LargeSpan, SmallSpan

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
def test_decodable_shares_are_the_published_ones(field, family, agents, table):
    code = build(family, 15, agents, field=field)
    shares = [decodable_share(code, k) for k in range(16 - agents)]
    assert [share.probability for share in shares] == pytest.approx(table, abs=5e-5)
    assert all(share.exact and share.sets == math.comb(15, k) for k, share in enumerate(shares))
    assert decodable_share(code, 16 - agents).probability == 0


def test_peeling_alone_would_decode_fewer_erasures_of_the_ldpc_code():
    code = build("ldpc", 15, 10)
    erased = list(itertools.combinations(range(15), 4))
    by_peeling = [decodability.peeled(code.entries[np.setdiff1d(np.arange(15), lost)]).all() for lost in erased]
    assert np.mean(by_peeling) == pytest.approx(0.605, abs=5e-4)
    assert decodable_share(code, 4).probability == pytest.approx(0.624, abs=5e-4)


def some_matrix(learners: int, agents: int, kind: str, random: np.random.Generator) -> np.ndarray:
    """A matrix of the ugly sort: sparse, with copies, multiples, sums and rows of zeros; of full rank."""
    while True:
        matrix = random.integers(-2, 3, (learners, agents)).astype(float)
        if kind == "sparse":
            matrix *= random.random(matrix.shape) < 0.4
        if kind == "copies":
            spoilt = random.permutation(learners)[: learners - agents]  # as many as can be done without
            for place, row in enumerate(spoilt):
                one, other = matrix[random.integers(learners, size=2)]
                matrix[row] = (-3 * one, one + other, 0 * one)[place % 3]
        if kind == "scales":
            matrix *= 10.0 ** random.integers(-8, 9, (learners, 1))
        if np.linalg.matrix_rank(matrix / np.maximum(np.abs(matrix).max(axis=1, keepdims=True), 1e-12)) == agents:
            return matrix


@pytest.mark.parametrize("kind", ["dense", "sparse", "copies", "scales"])
@pytest.mark.parametrize("seed", range(8))
def test_a_tracker_knows_rank_and_missing_agents_after_every_share(kind, seed):
    random = np.random.default_rng(seed)
    code = from_matrix(some_matrix(9, 5, kind, random))
    arrived, scaled = tracker(code), code.matrix / np.maximum(np.abs(code.matrix).max(axis=1, keepdims=True), 1e-30)
    rank = 0
    for learner in random.permutation(9).tolist():
        new = arrived.add(learner)
        rows = scaled[arrived.received]
        before, rank = rank, int(np.linalg.matrix_rank(rows))
        if before >= 1:  # the rank has been asked for
            assert new == (rank > before)
        assert arrived.rank == rank and arrived.decodable == (rank == 5)
        # An agent is determined where its unit vector adds nothing to the rank.
        missing = {agent for agent in range(5) if np.linalg.matrix_rank(np.vstack([rows, np.eye(5)[agent]])) > rank}
        assert arrived.missing == missing
    assert arrived.decodable and not arrived.missing


@pytest.mark.parametrize("seed", range(8))
def test_a_tracker_over_gf256_does_so_too(seed):
    random = np.random.default_rng(seed)
    matrix = random.integers(0, 3, (9, 5), dtype=np.uint8)
    while gf256.rank(matrix) < 5:
        matrix = random.integers(0, 3, (9, 5), dtype=np.uint8)
    code = from_matrix(matrix, "gf256")
    arrived = tracker(code)
    for learner in random.permutation(9).tolist():
        arrived.add(learner)
        rows = matrix[arrived.received]
        assert arrived.rank == gf256.rank(rows) and arrived.decodable == (arrived.rank == 5)
        unit = np.eye(5, dtype=np.uint8)
        assert arrived.missing == {agent for agent in range(5) if gf256.rank(np.vstack([rows, unit[agent]])) > arrived.rank}


@pytest.mark.parametrize("family", ["replication", "ldpc", "balanced", "random-sparse", "mds", "multi", "uncoded"])
@pytest.mark.parametrize("field", ["real64", "gf256"])
def test_arrival_by_arrival_and_all_at_once_agree(family, field):
    code = build(family, 12, 5, field=field, search=False) if family != "ldpc" else build(family, 12, 7, field=field)
    random = np.random.default_rng(0)
    for _ in range(12):
        arrived, received = tracker(code), np.zeros((1, code.learners), bool)
        for learner in random.permutation(code.learners).tolist():
            arrived.add(learner)
            received[0, learner] = True
            assert arrived.decodable == bool(decodable_sets(code, received)[0])
            assert arrived.decodable == (not arrived.missing)


def test_nothing_is_computed_for_shares_that_cannot_be_enough_or_must_be(monkeypatch):
    monkeypatch.setattr(decodability, "make_span", lambda *_args, **_kwargs: pytest.fail("the rank was tested"))
    code = build("mds", 15, 8)
    arrived = tracker(code)
    assert [arrived.add(learner) and arrived.decodable for learner in range(9)] == [False] * 7 + [True] * 2
    balanced = tracker(build("balanced", 15, 8, tolerance=3, search=False))
    for learner in range(12):
        balanced.add(learner)
    assert balanced.decodable


def test_useless_shares_are_recognised():
    code = from_matrix([[1, 1, 0], [0, 0, 0], [1, 1, 0], [0, 1, 1], [1, 0, 1], [2, 0, 0]])
    arrived = tracker(code)
    assert arrived.add(0) and not arrived.add(0), "a second share of a learner"
    assert not arrived.add(1), "a row of zeros"
    assert arrived.rank == 1 and not arrived.add(2), "a copy"
    assert arrived.received == [0, 1, 2]
    assert arrived.add(3) and arrived.add(4) and arrived.decodable
    assert not arrived.add(5), "everything is known"


def test_separate_updates_count_one_by_one():
    code = build("multi", 6, 3, tolerance=1)
    first, second = code.row(0)[0], code.row(1)[0]
    arrived = tracker(code)
    assert arrived.add(0, first[0]) and not arrived.add(0, first[0])
    assert arrived.missing == {0, 1, 2} - {first[0]} and arrived.rank == 1
    for learner in range(6):
        arrived.add(learner)
    assert arrived.decodable and first and second


@pytest.mark.parametrize("span", [SmallSpan(80, 200), LargeSpan(80, 200)])
def test_spans_of_many_columns_agree_with_numpy(span):
    random = np.random.default_rng(0)
    rows = random.standard_normal((70, 80))
    rows[50:] = random.standard_normal((20, 50)) @ rows[:50]
    rows[40:60, 0] = 0
    rows[:, 79] = 0
    rows[3], rows[4] = np.eye(80)[7], np.eye(80)[9]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for part in (slice(0, 30), slice(30, 31), slice(31, 55), slice(55, 70)):
        span.extend(csr_array(rows[part]))
        so_far = rows[: part.stop]
        rank = np.linalg.matrix_rank(so_far)
        assert span.rank == rank
        expected = [np.linalg.matrix_rank(np.vstack([so_far, unit])) == rank for unit in np.eye(80)]
        assert span.determined().tolist() == expected


def test_a_generic_span_follows_the_support():
    span = GenericSpan(4)
    span.extend(csr_array(np.array([[1.0, 2, 0, 0], [3, 4, 0, 0], [5, 6, 0, 0]])))
    assert span.rank == 2 and span.determined().tolist() == [True, True, False, False]
    span.extend(csr_array(np.array([[0.0, 1, 1, 1], [0, 0, 1, 1]])))
    assert span.rank == 4 and span.determined().all()


@pytest.mark.parametrize(("family", "field"), [("balanced", "real64"), ("random-sparse", "real64"), ("ldpc", "real64"), ("ldpc", "gf256")])
def test_large_codes_are_followed_as_numpy_would(family, field):
    """More agents than singular values are taken of."""
    code = build(family, 150, 100, field=field)
    random = np.random.default_rng(1)
    for _ in range(1 if field == "gf256" else 2):
        arrived = tracker(code)
        for learner in random.permutation(150).tolist():
            arrived.add(learner)
            if len(arrived.received) >= 100 and len(arrived.received) % 8 == 0:
                rows = code.matrix[arrived.received]
                rank = gf256.rank(rows) if field == "gf256" else np.linalg.matrix_rank(rows)
                assert arrived.decodable == (rank == 100)
        assert arrived.decodable and arrived.rank == 100 and arrived.missing == set()


def by_definition(matrix: np.ndarray) -> int:
    learners, agents = matrix.shape
    for lost in range(1, learners - agents + 1):
        for chosen in itertools.combinations(range(learners), lost):
            if np.linalg.matrix_rank(np.delete(matrix, chosen, 0)) < agents:
                return lost - 1
    return learners - agents


@given(st.integers(1, 4), st.integers(0, 4), st.sampled_from(["dense", "sparse", "copies"]), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_the_tolerance_is_the_last_level_at_which_no_erasure_hurts(agents, spare, kind, seed):
    matrix = some_matrix(agents + spare, agents, kind, np.random.default_rng(seed))
    code = from_matrix(matrix)
    assert tolerance(code) == code.tolerance == by_definition(matrix)
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
    exact = decodable_share(code, 4)
    monkeypatch.setattr(decodability.erasures, "MAX_SETS", 10)
    estimated = decodable_share(code, 4)
    assert exact.exact and not estimated.exact and estimated.sets == 10_000
    assert 0.003 < estimated.standard_error < 0.006
    assert abs(estimated.probability - exact.probability) < 4 * estimated.standard_error


def test_large_codes_are_estimated_from_fewer_erasures():
    code = build("replication", 200, 100)
    share = decodable_share(code, 5)
    expected = math.prod((200 - 2 * k) / (200 - k) for k in range(5))  # no two of the five hold the same agent
    assert share.sets == 300 and abs(share.probability - expected) < 4 * share.standard_error


def test_more_lost_learners_than_there_are_is_nonsense():
    with pytest.raises(ValueError, match="16 of 15"):
        decodable_share(build("mds", 15, 8), 16)


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


def test_a_thousand_learners_are_followed_in_a_moment():
    import time

    random = np.random.default_rng(0)
    for family in ("replication", "balanced", "ldpc"):
        code = build(family, 1000, 500)
        started = time.process_time()
        arrived = tracker(code)
        for learner in random.permutation(1000).tolist():
            arrived.add(learner)
            if arrived.decodable:
                break
        assert time.process_time() - started < 1, family  # takes 0.003 to 0.03 s
        assert arrived.decodable
