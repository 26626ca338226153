"""The scenarios against the package mpe2: 1,000 random joint steps each, free-running within episodes of 25."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

pytest.importorskip("mpe2")

from mpe2._mpe_utils.simple_env import SimpleEnv
from mpe2.simple_adversary import simple_adversary
from mpe2.simple_push import simple_push
from pettingzoo.utils.conversions import aec_to_parallel

from ppr.methods.codedmarl.environments import make
from ppr.methods.codedmarl.environments.batched import BatchedEnvironment
from ppr.methods.codedmarl.environments.bench import compare
from ppr.methods.codedmarl.environments.mpe2_backend import mpe2_factory, world_state

EPISODES, LENGTH = 40, 25


@dataclass
class Differences:
    """Largest absolute ones over all steps and worlds."""

    state: float = 0.0
    rewards: float = 0.0
    observations: float = 0.0

    def within(self, tolerance: float) -> bool:
        return max(self.state, self.rewards, self.observations) < tolerance


def differences(environment: BatchedEnvironment, reference) -> Differences:
    """Both from the same states by the same actions. Every other episode is crowded, so that everything touches everything."""
    names, random = [spec.name for spec in environment.specs], np.random.default_rng(0)
    assert reference.possible_agents == names
    actions = random.random((LENGTH, len(names), EPISODES, 5)).astype(np.float32)
    starts, wanted = [], []
    for episode in range(EPISODES):
        reference.reset(seed=episode)
        world = reference.unwrapped.world
        for entity in world.entities:
            entity.state.p_pos *= 0.25 if episode % 2 else 1.0
        starts.append(world_state([world], 0))
        steps = []
        for joint in actions:
            observations, rewards, *_ = reference.step({name: joint[i, episode] for i, name in enumerate(names)})
            steps.append((observations, rewards, world_state([world], 0)))
        wanted.append(steps)
    environment.load({key: torch.cat([start[key] for start in starts]) if key != "steps" else torch.tensor(0) for key in starts[0]})
    found = Differences()
    for t, joint in enumerate(actions):
        step = environment.step(list(torch.from_numpy(joint)))
        for episode in range(EPISODES):
            observations, rewards, state = wanted[episode][t]
            for key, mine in (("position", environment.position), ("velocity", environment.velocity)):
                found.state = max(found.state, float((mine[episode] - state[key][0]).abs().max()))
            reward = torch.tensor([rewards[name] for name in names])
            found.rewards = max(found.rewards, float((step.rewards[episode] - reward).abs().max()))
            for name, mine in zip(names, step.observations, strict=True):
                found.observations = max(found.observations, float((mine[episode] - torch.from_numpy(observations[name])).abs().max()))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "agents", "adversaries"),
    [
        ("simple_spread", 3, 0),
        ("simple_spread", 8, 0),
        ("simple_tag", 8, 4),
        ("simple_tag", 4, 3),
        ("simple_adversary", 8, 1),
        ("simple_push", 2, 1),
    ],
)
def test_same_states_rewards_and_observations_as_mpe2(name, agents, adversaries):
    environment = make(name, agents=agents, adversaries=adversaries, envs=EPISODES)
    reference = mpe2_factory(name, agents - adversaries, adversaries, LENGTH)(False)
    found = differences(environment, reference)
    assert found.within(1e-6), found


def several(module, good: int, adversaries: int, landmarks: int):
    """A scenario of mpe2 in which there are more agents than it makes; its rewards and observations go over lists."""

    class Scenario(module.Scenario):
        def make_world(self):
            world = super().make_world()
            template = world.agents[0]
            world.agents = [type(template)() for _ in range(good + adversaries)]
            for number, agent in enumerate(world.agents):
                agent.adversary = number < adversaries
                agent.name = f"adversary_{number}" if agent.adversary else f"agent_{number - adversaries}"
                agent.collide, agent.size, agent.silent = template.collide, template.size, True
            world.num_agents = len(world.agents)
            world.landmarks = [type(world.landmarks[0])() for _ in range(landmarks)]
            for landmark in world.landmarks:
                landmark.collide, landmark.movable = False, False
            return world

    scenario = Scenario()
    return aec_to_parallel(SimpleEnv(scenario, scenario.make_world(), LENGTH, continuous_actions=True))


@pytest.mark.parametrize(
    ("name", "module", "good", "adversaries", "landmarks"),
    [("simple_push", simple_push, 3, 2, 2), ("simple_adversary", simple_adversary, 3, 2, 3)],
)
def test_more_agents_than_mpe2_has_follow_its_rules(name, module, good, adversaries, landmarks):
    environment = make(name, agents=good + adversaries, adversaries=adversaries, envs=EPISODES)
    found = differences(environment, several(module, good, adversaries, landmarks))
    assert found.within(1e-6), found


def test_many_worlds_are_stepped_twenty_times_as_fast():
    """Acceptance: at E=32 and N=8 at least 20 times the joint steps a second, by CPU time on one thread."""
    assert compare("simple_spread", agents=8, envs=32, rounds=3).ratio >= 20
