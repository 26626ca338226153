"""The agents of a training: who learns what by which networks, where they stand in a minibatch, and how random numbers are named."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from itertools import accumulate, pairwise

import torch

from ...common.random import torch_generator
from ..config import TrainConfig
from ..environments import AgentSpec
from ..network import Mlp


class Purpose(IntEnum):
    """Fourth word of the keys of random numbers, (seed, iteration, agent, purpose); never 0, which is how shorter keys are padded."""

    INITIAL = 1
    ROLLOUT = 2
    RESET = 3
    MINIBATCH = 4
    TARGET = 5
    POLICY = 6
    EVALUATION = 7
    EVALUATION_RESET = 8


@dataclass(frozen=True)
class Problem:
    """Who learns what: everything that the update of an agent depends on besides parameters and minibatch. Can be pickled.

    A joint row holds the observations of all agents, then the actions of all agents.
    """

    specs: tuple[AgentSpec, ...]
    config: TrainConfig

    @cached_property
    def observation_columns(self) -> list[slice]:
        """Of each agent in a joint row."""
        return _slices([spec.observation for spec in self.specs], 0)

    @cached_property
    def action_columns(self) -> list[slice]:
        """Of each agent in a joint row."""
        return _slices([spec.actions for spec in self.specs], self.observation_columns[-1].stop)

    @property
    def width(self) -> int:
        """Columns of a joint row."""
        return self.action_columns[-1].stop

    def centralised(self, agent: int) -> bool:
        """Whether the agent's critic sees everybody (maddpg), not its own observation and action alone (ddpg)."""
        team = self.specs[agent].team
        return (self.config.adversary if team == "adversary" else self.config.good) == "maddpg"

    def actor(self, agent: int) -> Mlp:
        spec, hidden = self.specs[agent], self.config.hidden
        return Mlp((spec.observation, hidden, hidden, spec.actions))

    def critic(self, agent: int) -> Mlp:
        spec, hidden = self.specs[agent], self.config.hidden
        return Mlp((self.width if self.centralised(agent) else spec.observation + spec.actions, hidden, hidden, 1))

    def rate(self, base: float, iteration: int) -> float:
        """A learning rate in an iteration: `base` in the first, base * lr_final in the last, linear between them."""
        done = min(iteration / max(self.config.iterations - 1, 1), 1.0)
        return base * (1 + (self.config.lr_final - 1) * done)

    def generator(self, iteration: int, agent: int, purpose: Purpose) -> torch.Generator:
        return torch_generator(self.config.seed, iteration, agent, purpose)


def _slices(widths: list[int], start: int) -> list[slice]:
    return [slice(*ends) for ends in pairwise(accumulate(widths, initial=start))]
