"""When shares that arrive one by one determine every agent: against the rank of what has arrived, with unit vectors beside it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from ppr.methods.codedmarl import naive
from ppr.methods.codedmarl.codes import tracker
from ppr.methods.codedmarl.codes.construction import build
from ppr.methods.codedmarl.codes.decodability import decodable_sets
from ppr.methods.codedmarl.codes.matrices import from_matrix
from ppr.methods.codedmarl.codes.span import GenericSpan, LargeSpan, SmallSpan
from ppr.methods.codedmarl.codes.tracker import Tracker

from ....counting import calls
from .awkward import awkward_matrix


@pytest.mark.parametrize("kind", ["dense", "sparse", "copies", "scales"])
@pytest.mark.parametrize("seed", range(8))
def test_a_tracker_knows_rank_and_missing_agents_after_every_share(kind, seed):
    random = np.random.default_rng(seed)
    code = from_matrix(awkward_matrix(9, 5, kind, random))
    arrived, rank = Tracker(code), 0
    for learner in random.permutation(9).tolist():
        new = arrived.add(learner)
        rows = code.matrix[arrived.received]
        before, rank = rank, naive.rank(rows)
        if before >= 1:  # the rank has been asked for
            assert new == (rank > before)
        assert arrived.rank == rank and arrived.decodable == (rank == 5)
        assert arrived.missing == set(range(5)) - naive.determined(rows)
    assert arrived.decodable and not arrived.missing


@pytest.mark.parametrize("seed", range(8))
def test_a_tracker_over_gf256_does_so_too(seed):
    random = np.random.default_rng(seed)
    matrix = random.integers(0, 3, (9, 5), dtype=np.uint8)
    while naive.rank(matrix, "gf256") < 5:
        matrix = random.integers(0, 3, (9, 5), dtype=np.uint8)
    code = from_matrix(matrix, "gf256")
    arrived = Tracker(code)
    for learner in random.permutation(9).tolist():
        arrived.add(learner)
        rows = matrix[arrived.received]
        assert arrived.rank == naive.rank(rows, "gf256") and arrived.decodable == (arrived.rank == 5)
        assert arrived.missing == set(range(5)) - naive.determined(rows, "gf256")


@pytest.mark.parametrize("family", ["replication", "ldpc", "balanced", "random-sparse", "mds", "multi", "uncoded"])
@pytest.mark.parametrize("field", ["real64", "gf256"])
def test_arrival_by_arrival_and_all_at_once_agree(family, field):
    code = build(family, 12, 5, field=field, search=False) if family != "ldpc" else build(family, 12, 7, field=field)
    random = np.random.default_rng(0)
    for _ in range(12):
        arrived, received = Tracker(code), np.zeros((1, code.learners), bool)
        for learner in random.permutation(code.learners).tolist():
            arrived.add(learner)
            received[0, learner] = True
            assert arrived.decodable == bool(decodable_sets(code, received)[0])
            assert arrived.decodable == (not arrived.missing)


def test_nothing_is_computed_for_shares_that_cannot_be_enough_or_must_be(monkeypatch):
    monkeypatch.setattr(tracker, "make_span", lambda *_args, **_kwargs: pytest.fail("the rank was tested"))
    code = build("mds", 15, 8)
    arrived = Tracker(code)
    assert [arrived.add(learner) and arrived.decodable for learner in range(9)] == [False] * 7 + [True] * 2
    balanced = Tracker(build("balanced", 15, 8, tolerance=3, search=False))
    for learner in range(12):
        balanced.add(learner)
    assert balanced.decodable


def test_useless_shares_are_recognised():
    code = from_matrix([[1, 1, 0], [0, 0, 0], [1, 1, 0], [0, 1, 1], [1, 0, 1], [2, 0, 0]])
    arrived = Tracker(code)
    assert arrived.add(0) and not arrived.add(0), "a second share of a learner"
    assert not arrived.add(1), "a row of zeros"
    assert arrived.rank == 1 and not arrived.add(2), "a copy"
    assert arrived.received == [0, 1, 2]
    assert arrived.add(3) and arrived.add(4) and arrived.decodable
    assert not arrived.add(5), "everything is known"


def test_separate_updates_count_one_by_one():
    code = build("multi", 6, 3, tolerance=1)
    first, second = code.row(0)[0], code.row(1)[0]
    arrived = Tracker(code)
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
        assert span.rank == np.linalg.matrix_rank(so_far)
        assert set(np.flatnonzero(span.determined()).tolist()) == naive.determined(so_far)


def test_a_generic_span_follows_the_support():
    span = GenericSpan(4)
    span.extend(csr_array(np.array([[1.0, 2, 0, 0], [3, 4, 0, 0], [5, 6, 0, 0]])))
    assert span.rank == 2 and span.determined().tolist() == [True, True, False, False]
    span.extend(csr_array(np.array([[0.0, 1, 1, 1], [0, 0, 1, 1]])))
    assert span.rank == 4 and span.determined().all()


@pytest.mark.parametrize(("family", "field"), [("balanced", "real64"), ("random-sparse", "real64"), ("ldpc", "real64"), ("ldpc", "gf256")])
def test_large_codes_are_followed_as_whole_matrices_would_be(family, field):
    """More agents than singular values are taken of."""
    code = build(family, 150, 100, field=field)
    random = np.random.default_rng(1)
    for _ in range(1 if field == "gf256" else 2):
        arrived = Tracker(code)
        for learner in random.permutation(150).tolist():
            arrived.add(learner)
            if len(arrived.received) >= 100 and len(arrived.received) % 8 == 0:
                rows = code.matrix[arrived.received]
                assert arrived.decodable == (naive.rank(rows, field) == 100)
        assert arrived.decodable and arrived.rank == 100 and arrived.missing == set()


def test_a_thousand_learners_are_followed_in_a_moment():
    random = np.random.default_rng(0)
    for family in ("replication", "balanced", "ldpc"):
        code = build(family, 1000, 500)
        arrived, order = Tracker(code), iter(random.permutation(1000).tolist())

        def follow(arrived=arrived, order=order):
            while not arrived.decodable:
                arrived.add(next(order))

        assert calls(follow) < 100_000, family  # takes 0.003 to 0.03 s
