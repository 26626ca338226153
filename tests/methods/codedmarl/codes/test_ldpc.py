"""Array codes: their checks, dimensions and generators, and what is said where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from ppr.methods.codedmarl import naive
from ppr.methods.codedmarl.codes import gf2, ldpc
from ppr.methods.common.errors import UsageError


def test_elimination_over_gf2_keeps_the_row_space_of_wide_matrices():
    random = np.random.default_rng(0)
    matrix = random.random((9, 150)) < 0.3
    matrix[5] = matrix[1] ^ matrix[2]
    reduced, pivots = gf2.reduce(matrix)
    assert len(pivots) == gf2.rank(matrix) == naive.rank_galois(matrix.tolist()) == 8
    np.testing.assert_array_equal(reduced[:, pivots], np.eye(8))
    assert naive.rank_galois(np.vstack([matrix, reduced]).tolist()) == 8


@pytest.mark.parametrize(("parameters", "agents"), [((3, 5, 3), 8), ((3, 5, 2), 10)])
def test_the_paper_s_codes_come_out_for_their_sizes(parameters, agents):
    code = next(ldpc.candidates(15, agents))
    assert (code.p, code.rho, code.gamma) == parameters and code.dropped == 0 and code.agents == agents
    check = code.parity_check()
    p, rho, gamma = parameters
    for i in range(gamma):
        for j in range(rho):
            block = check[i * p : (i + 1) * p, j * p : (j + 1) * p]
            np.testing.assert_array_equal(block, np.linalg.matrix_power(np.roll(np.eye(p), 1, axis=1).astype(int), i * j))
    assert gf2.rank(check) == naive.rank_galois(check.tolist()) == gamma * (p - 1) + 1


@pytest.mark.parametrize(("learners", "agents", "entries", "heaviest"), [(15, 8, 28, 4), (15, 10, 34, 6)])
def test_the_paper_s_codes_have_their_work(learners, agents, entries, heaviest):
    matrix = ldpc.encoding(learners, agents)
    assert matrix.nnz == entries and np.diff(matrix.indptr).max() == heaviest


@pytest.mark.parametrize(("learners", "agents"), [(6, 3), (6, 4), (12, 8), (13, 10), (30, 16), (40, 20), (100, 70), (1000, 500)])
def test_shortened_codes_are_systematic_and_satisfy_their_checks(learners, agents):
    code = next(code for code in ldpc.candidates(learners, agents) if ldpc.generator(code) is not None)
    check, generator = code.parity_check().astype(int), ldpc.encoding(learners, agents).toarray().astype(int)
    assert generator.shape == (learners, agents)
    assert (check.sum(axis=0) == code.gamma).all(), "every learner keeps gamma checks"
    assert not (check @ generator % 2).any()
    assert generator.any(axis=1).all()
    assert (generator[generator.sum(axis=1) == 1].sum(axis=0) >= 1).all(), "every agent is held alone by some learner"


@pytest.mark.parametrize(
    ("learners", "agents", "nearest"), [(8, 8, "10 x 8 and 8 x 6"), (9, 8, "10 x 8 and 9 x 7"), (15, 5, "16 x 5 and 15 x 4")]
)
def test_where_no_parameters_fit_the_nearest_sizes_are_named(learners, agents, nearest):
    with pytest.raises(UsageError, match=f"{learners} x {agents}") as caught:
        ldpc.encoding(learners, agents)
    assert f"nearest: {nearest};" in caught.value.hint
    for size in nearest.split(" and "):
        there = tuple(map(int, size.split(" x ")))
        assert ldpc.encoding(*there).shape == there
