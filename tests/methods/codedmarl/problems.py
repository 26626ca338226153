"""Small agents of different kinds and small trainings, for the tests of MADDPG and of what is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ppr.methods.codedmarl.agents.centralised import Trainer
from ppr.methods.codedmarl.agents.maddpg import Minibatch
from ppr.methods.codedmarl.agents.model import TrainedAgents
from ppr.methods.codedmarl.agents.problem import Problem
from ppr.methods.codedmarl.agents.state import AgentState, initial_states
from ppr.methods.codedmarl.config import TrainConfig
from ppr.methods.codedmarl.environments import AgentSpec, Step
from ppr.methods.codedmarl.environments.base import Metric

SPECS = (
    AgentSpec("adversary_0", 7, 5, "adversary", "simplex"),
    AgentSpec("agent_0", 4, 3, "good", "discrete"),
    AgentSpec("agent_1", 6, 2, "good", "box"),
)


def a_problem(**changes: Any) -> Problem:
    """Three agents of different sizes and kinds, a small batch, rates and clipping that matter."""
    values = {"env": "none:none", "batch": 32, "hidden": 16, "seed": 5, "clip": 0.05, "logit_penalty": 0.01, "tau": 0.3}
    return Problem(SPECS, TrainConfig.model_validate(values | changes))


def a_minibatch(problem: Problem, seed: int = 0, dtype: torch.dtype = torch.float32) -> Minibatch:
    """Random transitions, some of which end the task."""
    generator = torch.Generator().manual_seed(seed)
    rows, agents = problem.config.batch, len(problem.specs)
    joint, ahead = (torch.rand(rows, problem.width, generator=generator) for _ in range(2))
    rewards = torch.randn(rows, agents, generator=generator)
    terminated = (torch.rand(rows, agents, generator=generator) < 0.3).float()
    return Minibatch(*(part.to(dtype) for part in (joint, ahead, rewards, terminated)))


def trained_states(problem: Problem, seed: int = 1, dtype: torch.dtype = torch.float32) -> list[AgentState]:
    """States as in the middle of a training: targets that lag behind, moments that are not 0."""
    generator = np.random.default_rng(seed)
    states = []
    for state in initial_states(problem.specs, problem.config):
        vector = state.vector.to(dtype) + torch.from_numpy(generator.normal(0, 0.05, len(state.vector))).to(dtype)
        new = AgentState(vector, state.policy_length, 7)
        for moments in (new.policy_v, new.critic_v):
            moments.abs_()
        states.append(new)
    return states


def a_config(**changes: Any) -> TrainConfig:
    """A training of simple_spread that takes a moment, with a replay that soon is full."""
    values = {"envs": 4, "episode_length": 5, "rollout": 10, "warmup": 30, "batch": 16, "replay": 70, "hidden": 8, "iterations": 8}
    return TrainConfig.model_validate(values | {"seed": 3} | changes)


def a_model(**changes: Any) -> TrainedAgents:
    """Agents after no training at all."""
    trainer = Trainer(a_config(**changes))
    return TrainedAgents.of(trainer.problem, trainer.states, iteration=0, metrics={"return": -25.0})


class Countdown:
    """Two instances, the first of which ends after two steps; observations of 0, the reward of a step is its number."""

    specs = (AgentSpec("a", 1, 2, "good"),)
    envs, episode_length, name, reward_definition, resumable = 2, 3, "countdown", "", True
    metrics = tuple(Metric(over, "", over) for over in ("sum", "mean", "last"))

    def reset(self, generator: torch.Generator) -> list[torch.Tensor]:
        self.at = 0
        return [torch.zeros(2, 1)]

    def step(self, actions: Sequence[torch.Tensor]) -> Step:
        self.at += 1
        done, valid = torch.tensor([self.at >= 2, self.at >= 3]), torch.tensor([self.at <= 2, True])
        value = torch.where(valid, float(self.at), 100.0)
        return Step(
            [torch.zeros(2, 1)],
            (self.at * valid)[:, None].float(),
            done,
            done[:, None],
            valid,
            dict.fromkeys(("sum", "mean", "last"), value),
        )
