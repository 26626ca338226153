"""Families of codes and their sizes."""

from __future__ import annotations

import logging
from typing import get_args

import numpy as np
import pytest

from ppr.methods.codedmarl.codes import families, support
from ppr.methods.codedmarl.codes.construction import build
from ppr.methods.codedmarl.config import Family, FieldName
from ppr.methods.common.errors import UsageError

FAMILIES, FIELDS = get_args(Family), get_args(FieldName)
#: Most updates of a learner, redundancy and tolerance with 15 learners (computed before with a program of its own).
KNOWN = [
    ("uncoded", 8, 1, 1, 0),
    ("uncoded", 10, 1, 1, 0),
    ("replication", 8, 1, 1.875, 0),
    ("replication", 10, 1, 1.5, 0),
    ("replication", 5, 1, 3, 2),
    ("ldpc", 8, 4, 3.5, 1),
    ("ldpc", 10, 6, 3.4, 1),
    ("mds", 8, 8, 15, 7),
    ("mds", 10, 10, 15, 5),
]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(("family", "agents", "heaviest", "redundancy", "tolerance"), KNOWN)
def test_the_paper_s_codes_have_their_work_and_tolerance(field, family, agents, heaviest, redundancy, tolerance):
    code = build(family, 15, agents, field=field)
    assert (code.max_weight, code.redundancy, code.tolerance) == (heaviest, pytest.approx(redundancy), tolerance)
    assert code.learners == (agents if family == "uncoded" else 15) and code.agents == agents
    assert code.matrix.dtype == (np.uint8 if field == "gf256" else np.float64)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_rows_are_those_of_the_matrix(family, field):
    code = build(family, 7, 4, field=field, search=False)
    for learner in range(code.learners):
        agents, coefficients = code.row(learner)
        assert list(agents) == sorted(agents) and (coefficients != 0).all()
        row = np.zeros(4, code.matrix.dtype)
        row[list(agents)] = coefficients
        np.testing.assert_array_equal(row, code.matrix[learner])
    assert code.weights.tolist() == (code.matrix != 0).sum(axis=1).tolist()
    assert code.separate == (family == "multi")


def test_replication_gives_learner_j_agent_j_mod_m():
    np.testing.assert_array_equal(build("replication", 7, 3).matrix, np.eye(3)[np.arange(7) % 3])


def test_real_mds_has_orthonormal_columns_and_no_zero():
    matrix = build("mds", 15, 8).matrix
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(8), atol=1e-12)
    assert (matrix != 0).all() and (build("mds", 15, 8, field="gf256").matrix != 0).all()


def test_random_sparse_holds_four_of_five_agents_and_changes_with_the_seed():
    codes = [build("random-sparse", 15, 8, seed=seed) for seed in range(3)]
    assert all(11 <= code.redundancy <= 13 for code in codes)
    assert [code.tolerance for code in codes] == [support.surplus(code.entries) for code in codes]
    assert codes[0].tolerance == 7
    assert (codes[0].matrix != codes[1].matrix).any()
    np.testing.assert_array_equal(codes[2].matrix, build("random-sparse", 15, 8, seed=2).matrix)


def test_deficient_draws_are_drawn_again_and_said(caplog):
    """With two learners and agents, one of five entries is 0: about one of seven draws is deficient."""
    with caplog.at_level(logging.INFO, "ppr"):
        for seed in range(30):
            matrix = build("random-sparse", 2, 2, seed=seed).matrix
            assert np.linalg.matrix_rank(matrix) == 2 and matrix.any(axis=1).all()
    assert "drawn again" in caplog.text


def test_after_a_hundred_deficient_draws_it_gives_up(monkeypatch):
    monkeypatch.setattr(families, "DENSITY", 0.01)
    with pytest.raises(UsageError, match="none of 100 draws"):
        build("random-sparse", 8, 8)


REFUSED = [
    (("mds", 7, 8), {}, "7 learners for 8 agents"),
    (("balanced", 0, 0), {}, "0 learners"),
    (("balanced", 15, 8), {"tolerance": 8}, "survives at most 7"),
    (("balanced", 15, 8), {"tolerance": -1}, "survives at most 7"),
    (("multi", 15, 8), {"tolerance": 15}, "survives at most 14"),
    (("mds", 15, 8), {"tolerance": 3}, "mds has none to choose"),
    (("mds", 256, 8), {"field": "gf256"}, "at most 255 learners"),
    (("ldpc", 8, 8), {}, "no LDPC array code"),
    (("replication", 10_001, 8), {}, "at most 10,000"),
    (("mds", 10_000, 5_000), {}, "fills 10000 x 5000 entries"),
    (("balance", 15, 8), {}, "there is no 'balance'"),
    (("mds", 15, 8), {"field": "real"}, "there is no 'real'"),
]


@pytest.mark.parametrize(("sizes", "options", "part"), REFUSED, ids=[part for *_rest, part in REFUSED])
def test_what_no_code_can_do_is_refused(sizes, options, part):
    with pytest.raises(UsageError, match=part) as caught:
        build(*sizes, **options)
    assert caught.value.exit_code == 2
