"""Predator and prey (simple_tag): slow adversaries chase fast good agents around obstacles."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Metric
from .batched import BatchedEnvironment, Cast

TOUCH = 10.0  # reward of an adversary, or loss of a good agent


class Tag(BatchedEnvironment):
    """Predator and prey as in mpe2's simple_tag_v3.

    Reward of every adversary: 10 for each pair of an adversary and a good agent that touch. Of a good agent: -10 for each adversary that
    touches it, minus a price for leaving the square (`leaving`) in each direction.

    Observation: own velocity and position, way to each obstacle and to each other agent, velocities of the other good agents.
    """

    metrics = (Metric("touches", "pairs of an adversary and a good agent that touch", "sum"),)
    reward_definition = (
        "per agent: adversaries 10 for each touch of any of them, good agents -10 for each at them, minus a price for leaving"
    )

    def __init__(self, good: int, adversaries: int, envs: int = 1, episode_length: int = 25, obstacles: int = 2) -> None:
        cast = Cast(
            adversaries=adversaries,
            good=good,
            landmarks=obstacles,
            radius=(0.075, 0.05),
            landmark_radius=0.2,
            acceleration=(3.0, 4.0),
            top_speed=(1.0, 1.3),
            blocking=True,
            spread=0.9,
        )
        super().__init__("simple_tag", cast, envs, episode_length)

    def _observations(self) -> list[Tensor]:
        agents, adversaries = self.cast.agents, self.cast.adversaries
        ways = [self.vector[:, :, agents:].flatten(2), self.others(self.vector[:, :, :agents]).flatten(2)]
        seen = torch.cat([self.velocity, self.position[:, :agents], *ways], 2)
        velocities = self.others(self.velocity[:, None].expand(-1, agents, -1, -1))
        hunters = torch.cat([seen[:, :adversaries], velocities[:, :adversaries, adversaries - 1 :].flatten(2)], 2)
        hunted = torch.cat([seen[:, adversaries:], velocities[:, adversaries:, adversaries:].flatten(2)], 2)
        return [*hunters.unbind(1), *hunted.unbind(1)]

    def _rewards(self) -> Tensor:
        adversaries = self.cast.adversaries
        touches = self._touches()
        hunters = TOUCH * touches.sum((1, 2))[:, None].expand(-1, adversaries)
        hunted = -TOUCH * touches.sum(2) - leaving(self.position[:, adversaries : self.cast.agents].abs()).sum(2)
        return torch.cat([hunters, hunted], 1)

    def _measures(self) -> dict[str, Tensor]:
        return {"touches": self._touches().sum((1, 2))}

    def _touches(self) -> Tensor:
        """Which good agents [E, good, adversaries] are touched by which adversaries."""
        adversaries = self.cast.adversaries
        return self.distance[:, adversaries:, :adversaries] < self.reach[adversaries:, :adversaries]


def leaving(distance: Tensor) -> Tensor:
    """The price of a coordinate's absolute value: 0 up to 0.9, then linear to 1 at 1.0, then exp(2 x - 2) up to 10."""
    outside = torch.where(distance < 1, (distance - 0.9) * 10, (2 * distance - 2).exp().clamp_max(10))
    return torch.where(distance < 0.9, 0, outside)
