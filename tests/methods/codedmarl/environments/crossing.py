"""A parallel environment of PettingZoo whose agents leave early, and what to do in it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from pettingzoo import ParallelEnv


class Crossing(ParallelEnv):
    """Walkers of different spaces; walker_1 arrives (terminated) in step 2, all are cut off in step 4, or `length`."""

    metadata: ClassVar = {"name": "crossing", "render_modes": ["rgb_array"]}
    spaces: ClassVar = {
        "walker_0": (Box(-1, 1, (3,), np.float64), Box(np.array([-2.0, 0.0]), np.array([2.0, 10.0]), dtype=np.float64)),
        "walker_1": (Discrete(4), Discrete(3, start=1)),
    }
    length = 4

    def __init__(self, render_mode=None):
        self.possible_agents, self.agents, self.render_mode, self.received = list(self.spaces), [], render_mode, []

    def observation_space(self, agent):
        return self.spaces[agent][0]

    def action_space(self, agent):
        return self.spaces[agent][1]

    def reset(self, seed=None, options=None):
        self.random, self.t, self.agents = np.random.default_rng(seed), 0, list(self.possible_agents)
        return self.seen(), {agent: {} for agent in self.agents}

    def seen(self):
        return {"walker_0": self.random.uniform(-1, 1, 3), "walker_1": 3}

    def step(self, actions):
        self.received.append(actions)
        self.t += 1
        present = list(self.agents)
        over = self.t >= self.length
        terminations = {agent: self.t == 2 and agent == "walker_1" for agent in present}
        self.agents = [agent for agent in present if not over and not terminations[agent]]
        return self.seen(), dict.fromkeys(present, 1.0), terminations, dict.fromkeys(present, over), {agent: {} for agent in present}

    def render(self):
        return np.full((40, 60, 3), 10 * self.t, np.uint8) if self.render_mode == "rgb_array" else None


def choose(environment, value=0.25):
    """Everyone's action: the middle choice, or a part of each range."""
    return [
        torch.full((environment.envs, spec.actions), value)
        if spec.kind == "box"
        else torch.eye(spec.actions)[1].repeat(environment.envs, 1)
        for spec in environment.specs
    ]
