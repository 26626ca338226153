"""Cooperative navigation (simple_spread): N agents spread over N landmarks without running into each other."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Metric
from .batched import BatchedEnvironment, Cast

#: An agent this close occupies a landmark.
OCCUPIED = 0.1


class Spread(BatchedEnvironment):
    """Cooperative navigation as in mpe2's simple_spread_v3.

    Reward of agent i: local_ratio times minus the number of agents it touches, plus (1 - local_ratio) times minus the sum over landmarks of
    the distance to the nearest agent. (The original environment of Lowe et al. 2017 adds the rewards of all agents up.)

    Observation, 6 N numbers: own velocity and position, way to each landmark and to each other agent, and 2 (N - 1) zeros where other
    scenarios have messages.
    """

    metrics = (
        Metric("collisions", "pairs of agents that touch", "sum"),
        Metric("occupied", f"landmarks with an agent closer than {OCCUPIED}", "last"),
    )
    reward_definition = (
        "per agent: minus half of how many it touches, minus half of the distances from all landmarks to their nearest agents"
    )

    def __init__(self, agents: int, envs: int = 1, episode_length: int = 25, local_ratio: float = 0.5) -> None:
        self.local_ratio = local_ratio
        cast = Cast(adversaries=0, good=agents, landmarks=agents, radius=(0.15, 0.15), landmark_radius=0.05)
        super().__init__("simple_spread", cast, envs, episode_length)

    def _observations(self) -> list[Tensor]:
        agents = self.cast.agents
        ways = self.others(self.vector[:, :, :agents]).flatten(2)
        parts = [self.velocity, self.position[:, :agents], self.vector[:, :, agents:].flatten(2), ways, torch.zeros_like(ways)]
        return list(torch.cat(parts, 2).unbind(1))

    def _rewards(self) -> Tensor:
        return -self.local_ratio * self._touched() - (1 - self.local_ratio) * self._nearest().sum(1, keepdim=True)

    def _measures(self) -> dict[str, Tensor]:
        return {"collisions": self._touched().sum(1) / 2, "occupied": (self._nearest() < OCCUPIED).sum(1)}

    def _touched(self) -> Tensor:
        """Number of other agents that each touches, [E, M]."""
        agents = slice(self.cast.agents)
        return ((self.distance[:, :, agents] < self.reach[:, agents]) & self.different).sum(2)

    def _nearest(self) -> Tensor:
        """Distance from each landmark to its nearest agent, [E, landmarks]."""
        return self.distance[:, :, self.cast.agents :].amin(1)
