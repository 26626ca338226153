"""Balanced codes: the least work for a tolerance, every erasure decodable, and well conditioned."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from ppr.methods.codedmarl import naive
from ppr.methods.codedmarl.codes import balanced, erasures, gf256, reed_solomon, support
from ppr.methods.codedmarl.codes.construction import build

#: Most updates of one of 15 learners for s = 1, 2 …: the bound ceil(M (s + 1) / 15).
HEAVIEST = {8: [2, 2, 3, 3, 4, 4, 5], 10: [2, 2, 3, 4, 4]}
#: Agents, tolerance, and a worst condition that a plain random search of seconds finds.
WORST = [(8, 3, 8), (8, 5, 49), (8, 7, 1.3e4), (10, 2, 8), (10, 5, 7.6e3)]


@given(st.integers(1, 8).flatmap(lambda agents: st.tuples(st.integers(agents, 10), st.just(agents))), st.floats(0.1, 1), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_the_surplus_is_that_of_the_most_crowded_agents(sizes, density, seed):
    held = np.random.default_rng(seed).random(sizes) < density
    assert support.surplus(csr_array(held.astype(float))) == max(-1, naive.surplus(held))


@given(st.integers(1, 9), st.integers(0, 8), st.data())
@settings(max_examples=60, deadline=None)
def test_the_cyclic_support_is_even_and_has_the_surplus_it_is_said_to_have(agents, spare, data):
    learners, tolerance = agents + spare, data.draw(st.integers(0, spare))
    held = support.cyclic(learners, agents, tolerance).toarray() != 0
    weights = held.sum(axis=1)
    assert (held.sum(axis=0) == tolerance + 1).all()
    assert weights.max() - weights.min() <= 1 and weights.max() == math.ceil(agents * (tolerance + 1) / learners)
    assert naive.surplus(held) == tolerance


@pytest.mark.parametrize("field", ["real64", "gf256"])
@pytest.mark.parametrize(("agents", "tolerance", "heaviest"), [(m, s, w) for m in HEAVIEST for s, w in enumerate(HEAVIEST[m], 1)])
def test_work_reaches_the_bound_and_every_erasure_is_decodable(field, agents, tolerance, heaviest):
    code = build("balanced", 15, agents, tolerance=tolerance, field=field, search=False)
    assert code.max_weight == heaviest == math.ceil(agents * (tolerance + 1) / 15)
    assert code.weights.min() >= heaviest - 1 and code.tolerance == tolerance
    assert (np.bincount(code.entries.indices) == tolerance + 1).all()
    received = erasures.all_received(15, tolerance)
    assert len(received) == math.comb(15, tolerance)
    assert erasures.full_rank(code.matrix, received).all()


@pytest.mark.parametrize(("agents", "tolerance", "order"), WORST)
def test_the_search_finds_well_conditioned_coefficients(agents, tolerance, order):
    code = build("balanced", 15, agents, tolerance=tolerance)
    coefficients = np.abs(code.entries.data)
    assert ((coefficients >= 0.5) & (coefficients <= 1.5)).all()
    assert erasures.conditions(code.matrix, erasures.all_received(15, tolerance)).max() < order


def test_gf256_codes_keep_the_support_of_real_ones():
    real, galois = (build("balanced", 15, 8, tolerance=3, field=field) for field in ("real64", "gf256"))
    np.testing.assert_array_equal(real.matrix != 0, galois.matrix != 0)


def test_the_same_seed_gives_the_same_code_and_another_another():
    first, again, other = (balanced.real(6, 4, 2, seed).toarray() for seed in (1, 1, 2))
    balanced._searched.cache_clear()
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, balanced.real(6, 4, 2, 1).toarray())
    assert (first != other).any()


def test_learners_of_one_agent_send_it_as_it_is():
    code = build("balanced", 15, 8, tolerance=1, search=False)
    alone = np.flatnonzero(code.weights == 1)
    assert len(alone) and all(code.row(learner)[1].tolist() == [1.0] for learner in alone)


@pytest.mark.parametrize(("learners", "agents", "tolerance"), [(15, 8, 2), (6, 3, 3), (10, 10, 0), (20, 7, 4), (15, 10, 2), (7, 6, 1)])
def test_without_a_tolerance_two_updates_a_learner_are_spent(learners, agents, tolerance):
    code = build("balanced", learners, agents, search=False)
    assert code.tolerance == tolerance and code.max_weight <= 2


@pytest.mark.parametrize(("learners", "agents", "tolerance"), [(255, 120, 9), (60, 30, 30), (5, 1, 4), (1, 1, 0), (20, 19, 1)])
def test_gf256_codes_exist_up_to_255_learners(learners, agents, tolerance):
    code = build("balanced", learners, agents, tolerance=tolerance, field="gf256", search=False)
    random = np.random.default_rng(0)
    received = erasures.drawn_received(learners, tolerance, 20, random)
    assert code.max_weight == math.ceil(agents * (tolerance + 1) / learners)
    assert erasures.full_rank(code.matrix, received).all()


@given(st.integers(2, 7), st.integers(0, 5), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_reed_solomon_subcodes_survive_what_zeros_of_polynomials_allow(agents, spare, seed):
    random = np.random.default_rng(seed)
    held = random.random((agents + spare, agents)) < 0.7
    held[random.integers(len(held), size=agents), np.arange(agents)] = True
    matrix = reed_solomon.on_support(held, random)
    if matrix is None:
        assert support.surplus(csr_array(held.astype(float))) < reed_solomon.tolerance_of(held)
        return
    np.testing.assert_array_equal(matrix != 0, held)
    assert erasures.full_rank(matrix, erasures.all_received(len(held), reed_solomon.tolerance_of(held))).all()
    assert gf256.rank(matrix) == agents


def test_thousands_of_learners_take_a_moment():
    code = build("balanced", 10_000, 5_000)
    assert code.tolerance == 3 and code.max_weight == 2 and code.entries.nnz == 20_000
    assert (np.bincount(code.entries.indices) == 4).all()
