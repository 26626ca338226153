"""The update of an agent: against modules and optimisers of torch in float64, and bit for bit wherever it is computed."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from ppr.methods.codedmarl import naive
from ppr.methods.codedmarl.agents.maddpg import Computation, Minibatch, apply, payload_lengths, published, restored, target_actions, update
from ppr.methods.codedmarl.agents.problem import Purpose
from ppr.methods.codedmarl.agents.state import AgentState
from ppr.methods.codedmarl.network import noise
from ppr.methods.common.errors import PprError

from ..problems import a_minibatch, a_problem, trained_states

FIELDS = ("policy", "critic", "target_policy", "target_critic", "policy_m", "policy_v", "critic_m", "critic_v")


@pytest.fixture
def problem():
    return a_problem()


@pytest.mark.parametrize("agent", [0, 1, 2])
@pytest.mark.parametrize(
    "changes",
    [{}, {"adversary": "ddpg", "clip": 100.0}, {"good": "ddpg", "lr_final": 0.1, "iterations": 11}],
    ids=["maddpg", "adv", "good"],
)
@pytest.mark.parametrize("payload", ["grad", "params"])
def test_an_update_is_that_of_torchs_modules_and_optimisers(agent, changes, payload):
    problem = a_problem(payload=payload, **changes)
    (state, batch), iteration = (trained_states(problem, dtype=torch.float64)[agent], a_minibatch(problem, dtype=torch.float64)), 4
    new = apply(problem, state, update(problem, state, batch, iteration, agent), iteration, agent)
    rate = 1 - 0.9 * 4 / 10 if "lr_final" in changes else 1.0
    for name, values in naive.update(problem, state, batch, iteration, agent, rate).items():
        torch.testing.assert_close(getattr(new, name), values, rtol=1e-9, atol=1e-12, msg=lambda text, name=name: f"{name}: {text}")
    assert new.steps == 8


def test_float32_agrees_with_float64_to_its_precision(problem):
    half, full = (trained_states(problem, dtype=dtype) for dtype in (torch.float32, torch.float64))
    batches = [a_minibatch(problem, dtype=dtype) for dtype in (torch.float32, torch.float64)]
    for agent in range(3):
        one, other = (update(problem, s[agent], batch, 0, agent) for s, batch in zip((half, full), batches, strict=True))
        assert one.dtype == np.float32 and len(one) == payload_lengths(problem.specs, problem.config)[agent]
        assert np.abs(one - other).max() < 2e-6 * np.abs(other).max()


def test_the_target_actions_are_those_of_the_target_policies(problem):
    states, generator = trained_states(problem, dtype=torch.float64), torch.Generator().manual_seed(3)
    observations = torch.rand(9, 17, dtype=torch.float64, generator=generator)
    found, at, seen = target_actions(problem, states, observations, 6), 0, 0
    for agent, (spec, state) in enumerate(zip(problem.specs, states, strict=True)):
        module = naive.module((spec.observation, 16, 16, spec.actions), state.target_policy)
        drawn = noise(spec.kind, 9, spec.actions, problem.generator(6, agent, Purpose.TARGET))
        expected = naive.behaviour(spec.kind, module(observations[:, seen : seen + spec.observation]) + drawn)
        torch.testing.assert_close(found[:, at : at + spec.actions], expected.detach())
        at, seen = at + spec.actions, seen + spec.observation


def shifted(array):
    """A copy that begins 4 bytes behind where torch would put it, and cannot be written."""
    room = np.empty(array.nbytes + 128, np.uint8)
    start = -room.ctypes.data % 64 + 4
    copy = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    copy.flags.writeable = False
    return copy


ELSEWHERE = """
import pickle, sys, torch
compute, arrays, iteration, agents = pickle.load(open(sys.argv[1], "rb"))
pickle.dump([compute(arrays, iteration, agent) for agent in agents], open(sys.argv[2], "wb"))
"""


@pytest.mark.slow
@pytest.mark.parametrize("payload", ["grad", "params"])
def test_an_update_has_the_same_bits_wherever_and_after_whatever_it_is_computed(tmp_path, payload):
    problem = a_problem(payload=payload, batch=300, hidden=64)
    arrays, compute = published(trained_states(problem), a_minibatch(problem)), Computation(problem)
    alone = [compute(arrays, 3, agent).tobytes() for agent in range(3)]
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        torch.rand(5)
        moved = {name: shifted(array) for name, array in arrays.items()}
        state, again = restored(problem, moved, 1)
        assert all(part.data_ptr() % 64 == 0 for part in (state.vector, *vars(again).values()))
        assert [compute(moved, 3, agent).tobytes() for agent in (2, 0, 1)] == [alone[agent] for agent in (2, 0, 1)]
    finally:
        torch.set_num_threads(before)
    if payload == "params":
        return
    (tmp_path / "in").write_bytes(pickle.dumps((compute, moved, 3, [1, 2])))
    subprocess.run([sys.executable, "-c", ELSEWHERE, tmp_path / "in", tmp_path / "out"], check=True)
    assert [vector.tobytes() for vector in pickle.loads((tmp_path / "out").read_bytes())] == alone[1:]
    assert compute(arrays, 4, 0).tobytes() != alone[0]


def test_what_is_published_is_shared_and_comes_back(problem):
    states, batch = trained_states(problem), a_minibatch(problem)
    arrays = published(states, batch)
    assert arrays["agent.1"].ctypes.data == states[1].vector.data_ptr()
    state, again = restored(problem, arrays, 1)
    assert state.steps == 7 and all(torch.equal(getattr(state, name), getattr(states[1], name)) for name in FIELDS)
    assert all(torch.equal(one, other) for one, other in zip(vars(again).values(), vars(batch).values(), strict=True))
    assert [len(getattr(state, name)) for name in FIELDS] == [4 * 16 + 16 + 16 * 17 + 3 * 17, 27 * 16 + 16 + 16 * 17 + 17] * 2 + [
        *([4 * 16 + 16 + 16 * 17 + 3 * 17] * 2),
        *([27 * 16 + 16 + 16 * 17 + 17] * 2),
    ]


@pytest.mark.parametrize("payload", ["grad", "params"])
def test_the_two_payloads_lead_to_the_same_state(payload):
    """Learning does not depend on what is sent."""
    problem = a_problem(payload="grad")
    state, batch = trained_states(problem)[1], a_minibatch(problem)
    expected = apply(problem, state, update(problem, state, batch, 2, 1), 2, 1)
    other = a_problem(payload=payload)
    found = apply(other, state, np.append(update(other, state, batch, 2, 1), np.float32([np.nan, 7])), 2, 1)
    assert torch.equal(found.vector, expected.vector) and found.steps == 8


def test_second_moments_that_decoding_rounded_below_zero_are_raised():
    problem = a_problem(payload="params")
    state = trained_states(problem)[0]
    payload = update(problem, state, a_minibatch(problem), 0, 0).copy()
    decoded = AgentState(torch.from_numpy(payload), state.policy_length)
    decoded.policy_v[3], decoded.critic_v[5], decoded.policy_m[3] = -1e-9, -1e-12, -2.0
    new = apply(problem, state, payload, 0, 0)
    assert float(new.policy_v[3]) == float(new.critic_v[5]) == 0 and float(new.policy_m[3]) == -2
    following = apply(problem, new, update(problem, new, a_minibatch(problem), 1, 0), 1, 0)
    assert torch.isfinite(following.vector).all()


@pytest.mark.parametrize(("spoilt", "what"), [("rewards", "gradient of the critic"), ("policy", "gradient of the policy")])
def test_a_gradient_that_is_not_finite_names_its_agent(problem, spoilt, what):
    state, batch = trained_states(problem)[1], a_minibatch(problem)
    if spoilt == "rewards":
        batch.rewards[3, 1] = float("inf")
    else:
        state.policy[0] = float("nan")
    with pytest.raises(PprError, match=rf"agent_0: the {what} is not finite in iteration 12") as raised:
        payload = update(problem, state, batch, 12, 1)
        apply(problem, state, payload, 12, 1)
    assert "actor_lr" in pickle.loads(pickle.dumps(raised.value)).hint


def test_what_was_decoded_and_is_not_finite_names_its_agent():
    for payload, what in (("grad", "gradient of the policy"), ("params", "parameters")):
        problem = a_problem(payload=payload)
        state = trained_states(problem)[2]
        vector = update(problem, state, a_minibatch(problem), 0, 2).copy()
        vector[-1] = np.nan
        with pytest.raises(PprError, match=f"agent_1: the {what} is not finite"):
            apply(problem, state, vector, 0, 2)


def test_an_update_leaves_what_it_was_given_as_it_was(problem):
    states, batch = trained_states(problem), a_minibatch(problem)
    before = pickle.dumps(published(states, batch))
    for agent in range(3):
        apply(problem, states[agent], update(problem, states[agent], batch, 0, agent), 0, agent)
    assert pickle.dumps(published(states, batch)) == before
    assert isinstance(batch, Minibatch)
