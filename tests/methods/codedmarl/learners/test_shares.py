"""Which answers are taken into an iteration, when they are enough, and what is decoded from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ppr.methods.codedmarl.codes.code import Code
from ppr.methods.codedmarl.codes.construction import build
from ppr.methods.codedmarl.codes.matrices import from_matrix
from ppr.methods.codedmarl.learners.engine import NO_FAULT, Assignment, Fault, Share
from ppr.methods.codedmarl.learners.shares import Collection, over_reals
from ppr.methods.codedmarl.learners.work import work
from ppr.methods.common.errors import PprError

from ..toy import Toy, arrays, expected, lengths

X = arrays()["x"]
AGENTS = 4
NAMES = [f"agent_{agent}" for agent in range(AGENTS)]


def collection(code: Code, iteration: int = 3) -> Collection:
    return Collection(code, lengths(AGENTS), NAMES, iteration)


def answer(code: Code, learner: int, iteration: int = 3, *, agent: int | None = None, fault: Fault = NO_FAULT) -> Share:
    """What a learner answers: its row, or one agent's update as it is."""
    agents, coefficients = code.row(learner)
    row = Assignment(iteration, learner, agents, tuple(coefficients.tolist()), code.field, max(lengths(AGENTS)), fault=fault)
    if agent is not None:
        row = replace(row, agents=(agent,), coefficients=(1.0,), plain=True)
    share = work(Toy(), arrays(), row, lambda: False)
    assert isinstance(share, Share)
    return share


def right(vectors: list[np.ndarray], iteration: int = 3, **close: float) -> bool:
    wanted = [expected(X, iteration, agent) for agent in range(AGENTS)]
    return all(
        np.allclose(found, update, **close) if close else np.array_equal(found, update)
        for found, update in zip(vectors, wanted, strict=True)
    )


@pytest.mark.parametrize("field", ["gf256", "real64", "real32"])
@pytest.mark.parametrize("family", ["uncoded", "replication", "mds", "random-sparse", "balanced"])
def test_updates_of_different_lengths_come_back(family, field):
    code = build(family, 7, AGENTS, field=field)
    found = collection(code)
    for learner in reversed(range(code.learners)):
        assert not found.decodable or family != "uncoded"
        assert found.accept(answer(code, learner)) == "used"
    assert found.decodable
    assert found.missing == []
    assert found.disagreement is None
    close = {"gf256": {}, "real64": {"rtol": 1e-6, "atol": 1e-6}, "real32": {"rtol": 1e-4, "atol": 1e-4}}[field]
    assert right(found.vectors(), **close)
    assert found.learners == set(range(code.learners))


def test_separate_updates_need_one_of_each_agent():
    code = build("multi", 6, AGENTS, tolerance=2, field="gf256")
    found = collection(code)
    for learner in range(code.learners):
        for agent in code.row(learner)[0]:
            held = found.code.learners + agent in found.payloads
            assert found.accept(answer(code, learner, agent=agent)) == ("duplicate" if held else "used")
    assert found.decodable
    assert right(found.vectors())


def test_what_is_not_taken():
    code = build("mds", 6, AGENTS, field="gf256")
    found = collection(code)
    assert found.accept(answer(code, 0, iteration=2)) == "late"
    assert found.accept(answer(code, 0, fault=Fault(corrupt=True))) == "corrupt"
    assert found.accept(answer(code, 0, fault=Fault(drop=True))) == "dropped"
    assert found.accept(replace(answer(code, 0), outcome="abandoned", payload=None)) == "abandoned"
    assert found.accept(answer(over_reals(code), 0)) == "late"
    assert found.payloads == {}
    assert found.accept(answer(code, 0)) == "used"
    assert found.accept(answer(code, 0)) == "duplicate"
    assert len(found.payloads) == 1


@pytest.mark.parametrize("field", ["gf256", "real64"])
@pytest.mark.parametrize("family", ["mds", "balanced"])
def test_single_updates_from_anybody_complete_an_iteration(family, field):
    """Two rows of the code and, from one other learner, the updates that do not follow from them."""
    code = build(family, 6, AGENTS, field=field)
    found = collection(code)
    assert found.accept(answer(code, 0)) == "used"
    assert found.accept(answer(code, 1)) == "used"
    assert not found.decodable
    missing = found.missing
    assert missing
    for agent in missing:
        assert found.accept(answer(code, 5, agent=agent)) == "used"
    assert found.decodable
    close = {} if field == "gf256" else {"rtol": 1e-6, "atol": 1e-6}
    assert right(found.vectors(), **close)


def test_reachable_says_whether_pending_tasks_would_be_enough():
    code = build("mds", 6, AGENTS, field="gf256")
    found = collection(code)
    found.accept(answer(code, 2))
    tasks = [answer(code, learner).assignment for learner in (0, 1, 3)]
    assert found.reachable(tasks)
    assert not found.reachable(tasks[:2])
    assert not found.reachable([*tasks[:2], tasks[1]])
    single = [answer(code, 4, agent=agent).assignment for agent in range(AGENTS)]
    assert found.reachable(single)
    assert found.reachable([*tasks[:2], single[3]])
    assert not found.reachable([*tasks[:2], replace(tasks[2], iteration=2)])
    assert not found.decodable


def test_learners_that_differ_in_a_bit_are_found():
    code = build("replication", 8, AGENTS, field="gf256")
    found = collection(code)
    found.accept(answer(code, 1))
    found.accept(answer(code, 6))
    assert found.disagreement is None
    share = answer(code, 5)
    share.digests = {1: b"\0" * 8}
    found.accept(share)
    assert found.disagreement is not None
    assert (found.disagreement.agent, found.disagreement.learners) == (1, (1, 5))


def test_a_decoded_update_that_nobody_computed_is_refused():
    code = build("mds", 6, AGENTS, field="gf256")
    found = collection(code)
    for learner in range(AGENTS):
        found.accept(answer(code, learner))
    found.payloads[2] = found.payloads[2] ^ 1
    with pytest.raises(PprError, match="the decoded update of agent agent_0 is not what its learners computed"):
        found.vectors()


@pytest.mark.parametrize("family", ["uncoded", "replication", "mds", "random-sparse", "ldpc", "balanced", "multi"])
def test_every_code_has_a_real_counterpart(family):
    agents = 8 if family == "ldpc" else AGENTS
    code = build(family, 15, agents, field="gf256", seed=4)
    real = over_reals(code)
    assert real.field == "real64"
    assert (real.learners, real.agents, real.separate) == (code.learners, agents, code.separate)
    assert np.linalg.matrix_rank(real.matrix) == agents


def test_a_matrix_of_ones_own_keeps_its_support_over_the_reals():
    matrix = np.array([[1, 0], [0, 7], [3, 9]], np.uint8)
    real = over_reals(from_matrix(matrix, "gf256"))
    np.testing.assert_array_equal(real.matrix != 0, matrix != 0)
