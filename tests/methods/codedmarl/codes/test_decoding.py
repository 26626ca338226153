"""From shares back to updates: exact over GF(256), and how much of the digits each real code keeps."""

from __future__ import annotations

import dataclasses
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, vstack

from ppr.methods.codedmarl.codes.code import Code
from ppr.methods.codedmarl.codes.construction import build
from ppr.methods.codedmarl.codes.decodability import condition, decodable_sets
from ppr.methods.codedmarl.codes.decoding import decode, decode_real
from ppr.methods.codedmarl.codes.erasures import all_received, conditions
from ppr.methods.codedmarl.codes.field import combine
from ppr.methods.codedmarl.codes.matrices import from_matrix
from ppr.methods.codedmarl.codes.tracker import Tracker
from ppr.methods.codedmarl.config import Family, FieldName
from ppr.methods.common.errors import PprError

FAMILIES, FIELDS = get_args(Family), get_args(FieldName)


def some_updates(agents: int, seed: int = 0, shortest: int = 5) -> list[np.ndarray]:
    """Of different lengths and magnitudes."""
    random = np.random.default_rng(seed)
    return [(random.standard_normal(shortest + agent) * 10.0 ** random.integers(-3, 3)).astype(np.float32) for agent in range(agents)]


def shares_of(code: Code, updates: list[np.ndarray], learners: list[int]) -> dict[int, np.ndarray]:
    """What these learners send; of a separate code what each agent's learner does."""
    length = max(map(len, updates))
    if code.separate:
        held = {agent for learner in learners for agent in code.row(learner)[0]}
        return {agent: combine(code.field, [1], [updates[agent]], length) for agent in held}
    rows = {learner: code.row(learner) for learner in learners}
    return {learner: combine(code.field, c, [updates[agent] for agent in agents], length) for learner, (agents, c) in rows.items()}


def padded(updates: list[np.ndarray]) -> np.ndarray:
    whole = np.zeros((len(updates), max(map(len, updates))), np.float32)
    for row, update in zip(whole, updates, strict=True):
        row[: len(update)] = update
    return whole


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_what_arrived_first_decodes_to_the_updates(family, field):
    agents = 7 if family == "ldpc" else 5
    code, updates, random = build(family, 12, agents, field=field, search=False), some_updates(agents), np.random.default_rng(1)
    for _ in range(10):
        arrived = Tracker(code)
        for learner in random.permutation(code.learners).tolist():
            arrived.add(learner)
            if arrived.decodable:
                break
        decoded = decode(code, shares_of(code, updates, arrived.received))
        assert decoded.dtype == np.float32
        if field == "gf256":
            assert decoded.tobytes() == padded(updates).tobytes()
        else:
            worst = max(1.0, condition(code, arrived.received)) * (1e-14 if field == "real64" else 5e-7)
            # What the shares lose, and a rounding to float32.
            np.testing.assert_allclose(decoded, padded(updates), rtol=1e-7, atol=worst * np.abs(padded(updates)).max())


def test_bits_that_are_no_numbers_survive_gf256():
    code = build("mds", 6, 3, field="gf256")
    updates = [np.array([np.nan, -np.inf, -0.0, 1e-45], np.float32)] * 2 + [np.frombuffer(b"\x01\x00\xa0\x7f", np.float32)]
    decoded = decode(code, shares_of(code, updates, [5, 1, 3]))
    assert decoded.tobytes() == padded(updates).tobytes()


def test_every_decodable_erasure_of_the_ldpc_code_decodes_bit_for_bit():
    code, updates = build("ldpc", 15, 8, field="gf256"), some_updates(8)
    all_shares = shares_of(code, updates, list(range(15)))
    received = all_received(15, 2)
    for row, decodable in zip(received, decodable_sets(code, received), strict=True):
        shares = {learner: all_shares[learner] for learner in np.flatnonzero(row)}
        if decodable:
            assert decode(code, shares).tobytes() == padded(updates).tobytes()
        else:
            with pytest.raises(PprError, match="does not determine 8 agents"):
                decode(code, shares)


def relative_errors(matrix: np.ndarray, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """Of the agents' numbers decoded from shares of that type, for every 8 of 15 rows [6435]; and the condition numbers."""
    code = from_matrix(matrix)
    received = all_received(15, 7)
    updates = np.random.default_rng(0).standard_normal((8, 40)).astype(np.float32)
    shares = (matrix @ updates.astype(np.float64)).astype(dtype)
    errors = np.array([np.abs(decode_real(code, {j: shares[j] for j in np.flatnonzero(row)}) - updates).max() for row in received])
    return errors / np.abs(updates).max(), conditions(matrix, received)


def test_float64_shares_of_a_gaussian_code_keep_nine_digits_in_the_worst_of_all_erasures():
    errors, _conditions = relative_errors(np.random.default_rng(0).standard_normal((15, 8)), np.float64)
    assert len(errors) == 6435 and errors.max() < 1e-9 and np.median(errors) < 1e-13


def test_float32_shares_need_the_guard_of_the_condition_number():
    errors, condition_numbers = relative_errors(build("mds", 15, 8, seed=1).matrix, np.float32)
    assert 1e-4 < errors.max() < 1e-1 and np.median(errors) < 1e-6
    assert errors[condition_numbers < 1e4].max() < 1e-3


def test_the_paper_s_vandermonde_matrix_loses_the_digits_of_float32():
    """Nodes evenly spaced in [0.1, 0.5] and row j their powers N - 1 - j, as the authors built it."""
    nodes = np.linspace(0.1, 0.5, 8)
    vandermonde = nodes ** np.arange(14, -1, -1)[:, None]
    received = all_received(15, 7)[::40]
    assert np.median([np.linalg.cond(vandermonde[row]) for row in received]) > 1e8
    assert np.median(conditions(build("mds", 15, 8).matrix, received)) < 100


def test_more_shares_than_agents_lessen_the_error():
    code = from_matrix(np.random.default_rng(0).standard_normal((15, 8)), "real32")
    updates = some_updates(8, shortest=300)
    few, all_of_them = (decode_real(code, shares_of(code, updates, list(range(count)))) for count in (8, 15))
    scale = padded(updates)
    assert np.abs(all_of_them - scale).max() < np.abs(few - scale).max()


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_peeling_does_not_chain_errors(factor):
    """A staircase, along which peeling divides by ever the same small coefficient, beside rows that are well conditioned."""
    staircase = np.eye(6) + factor * np.eye(6, k=-1)
    code = from_matrix(np.vstack([staircase, np.random.default_rng(0).standard_normal((8, 6))]), "real32")
    updates = [update / np.abs(update).max() for update in some_updates(6)]
    decoded = decode(code, shares_of(code, updates, list(range(14))))
    np.testing.assert_allclose(decoded, padded(updates), atol=1e-5)


def test_rows_of_very_different_scale_weigh_alike():
    """Two long rows that hardly differ, and a short one that tells the agents apart."""
    code = from_matrix(np.array([[1e9, 1e9], [1e9, 1.0001e9], [1, -1]]), "real32")
    updates = np.random.default_rng(0).standard_normal((2, 200)).astype(np.float32)
    decoded = decode(code, shares_of(code, list(updates), [0, 1, 2]))
    np.testing.assert_allclose(decoded, updates, atol=2e-6)


@given(st.integers(1, 6), st.integers(0, 6), st.integers(0, 10**6), st.sampled_from(["gf256", "real64"]))
@settings(max_examples=50, deadline=None)
def test_any_matrix_decodes_wherever_its_tracker_says_so(agents, spare, seed, field):
    random = np.random.default_rng(seed)
    matrix = np.vstack(
        [random.permutation(np.eye(agents)), random.integers(0, 4, (spare, agents)) * (random.random((spare, agents)) < 0.5)]
    )
    matrix = random.permutation(matrix)
    code, updates = from_matrix(matrix, field), some_updates(agents, seed)
    arrived = Tracker(code)
    for learner in random.permutation(len(matrix)).tolist():
        arrived.add(learner)
        shares = shares_of(code, updates, arrived.received)
        if arrived.decodable:
            np.testing.assert_allclose(decode(code, shares), padded(updates), rtol=1e-6, atol=1e-9)
        else:
            with pytest.raises(PprError, match="does not determine"):
                decode(code, shares)


def test_updates_that_were_given_to_another_learner_complete_the_shares():
    for field in FIELDS:
        code = build("ldpc", 15, 8, field=field)
        updates = some_updates(8)
        arrived = Tracker(code)
        for learner in range(6):
            arrived.add(learner)
        longer = dataclasses.replace(
            code,
            entries=vstack([code.entries, csr_array(np.eye(8, dtype=code.entries.dtype))], format="csr"),
            tolerance=None,
            family="file",
        )
        learners = [*range(6), *(15 + agent for agent in sorted(arrived.missing))]
        assert 8 > len(arrived.missing) >= 2 and decodable_sets(longer, np.isin(np.arange(23), learners)[None]).all()
        np.testing.assert_allclose(decode(longer, shares_of(longer, updates, learners)), padded(updates), rtol=1e-5, atol=1e-4)


def test_separate_updates_must_all_be_there():
    code, updates = build("multi", 6, 3), some_updates(3)
    shares = shares_of(code, updates, [0, 1, 2, 3, 4, 5])
    del shares[1]
    with pytest.raises(PprError, match="rank 2"):
        decode(code, shares)


def test_shares_that_do_not_belong_together_are_refused():
    code = build("mds", 4, 2)
    with pytest.raises(PprError, match="no share"):
        decode(code, {})
    for other in (np.zeros(4), np.zeros((3, 1)), np.zeros(3, np.uint8)):
        with pytest.raises(ValueError, match="shares of shapes"):
            decode(code, {0: np.zeros(3), 1: other})
    with pytest.raises(ValueError, match="shares of shapes"):
        decode(build("mds", 4, 2, field="gf256"), {0: np.zeros(4), 1: np.zeros(4)})
