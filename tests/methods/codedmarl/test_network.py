"""Perceptrons on flat vectors against torch's modules, and the distributions of noise and actions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ppr.methods.codedmarl.agents.problem import Purpose
from ppr.methods.codedmarl.agents.state import initial_states
from ppr.methods.codedmarl.network import Mlp, noise, squash

from .problems import a_problem


def test_a_flat_vector_is_torchs_module():
    network, generator = Mlp((6, 9, 7, 2)), torch.Generator().manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, 2))
    flat = torch.randn(network.length, generator=generator)
    nn.utils.vector_to_parameters(flat.clone(), module.parameters())
    inputs = torch.randn(5, 6, generator=generator)
    torch.testing.assert_close(network.forward(network.layers(flat), inputs), module(inputs))


def test_initial_weights_follow_glorots_rule():
    network = Mlp((300, 200, 100, 4))
    weight, bias, *_rest = network.layers(network.initial(torch.Generator().manual_seed(1)))
    limit = math.sqrt(6 / 500)
    assert float(bias.abs().max()) == 0 and limit * 0.99 < float(weight.abs().max()) <= limit
    assert abs(float(weight.var()) / (limit**2 / 3) - 1) < 0.02


def test_every_agent_begins_with_networks_of_its_own_and_always_the_same():
    problem = a_problem()
    one, again = (initial_states(problem.specs, problem.config) for _ in range(2))
    assert all(torch.equal(a.vector, b.vector) for a, b in zip(one, again, strict=True))
    other = initial_states(problem.specs, a_problem(seed=6).config)
    assert not torch.equal(one[0].vector, other[0].vector)
    assert torch.equal(one[0].policy, one[0].target_policy) and torch.equal(one[0].critic, one[0].target_critic)
    assert float(one[0].policy_v.abs().sum() + one[0].critic_m.abs().sum()) == 0


@pytest.mark.parametrize("kind", ["simplex", "box"])
def test_noise_chooses_as_often_as_the_logits_say(kind):
    """Adding Gumbel noise and taking the largest draws from the softmax; adding logistic noise and looking at the sign from the sigmoid."""
    logits = torch.tensor([0.5, -1.0, 1.0])
    drawn = logits + noise(kind, 200_000, 3, torch.Generator().manual_seed(2))
    if kind == "box":
        found, expected = (drawn > 0).float().mean(0), logits.sigmoid()
    else:
        found, expected = torch.bincount(drawn.argmax(1), minlength=3) / len(drawn), logits.softmax(0)
    assert float((found - expected).abs().max()) < 0.005
    assert torch.isfinite(drawn).all()


def test_actions_lie_in_their_range():
    logits = 20 * torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(squash("simplex", logits).sum(1), torch.ones(100)) and float(squash("discrete", logits).min()) >= 0
    assert 0 <= float(squash("box", logits).min()) < 0.01 and 0.99 < float(squash("box", logits).max()) <= 1


def test_random_numbers_have_keys_of_their_own():
    problem = a_problem()
    keys = [(iteration, agent, purpose) for iteration in range(3) for agent in range(3) for purpose in Purpose]
    assert len({float(torch.rand((), dtype=torch.float64, generator=problem.generator(*key))) for key in keys}) == len(keys)
    assert min(Purpose) > 0
