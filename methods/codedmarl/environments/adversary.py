"""Physical deception (simple_adversary): good agents know which landmark is the goal, adversaries have to guess it from what they do."""

from __future__ import annotations

import torch
from torch import Tensor

from .batched import GOAL_METRICS, BatchedEnvironment, Cast


class Deception(BatchedEnvironment):
    """Physical deception as in mpe2's simple_adversary_v3, there with one adversary; as many landmarks as good agents.

    Reward of an adversary: minus its distance to the goal. Of every good agent: the adversaries' distances to the goal, added up, minus
    that of the nearest good agent.

    Observation: (good agents: way to the goal,) way to each landmark and to each other agent.
    """

    metrics = GOAL_METRICS
    reward_definition = (
        "per agent: adversaries minus their distance to the goal, good agents the adversaries' distances minus their nearest one's"
    )

    def __init__(self, good: int, adversaries: int = 1, envs: int = 1, episode_length: int = 25) -> None:
        cast = Cast(
            adversaries=adversaries, good=good, landmarks=good, radius=(0.15, 0.15), landmark_radius=0.08, touching=False, goal=True
        )
        super().__init__("simple_adversary", cast, envs, episode_length)

    def _observations(self) -> list[Tensor]:
        agents, adversaries = self.cast.agents, self.cast.adversaries
        seen = torch.cat([self.vector[:, :, agents:].flatten(2), self.others(self.vector[:, :, :agents]).flatten(2)], 2)
        knowing = torch.cat([self.to_goal()[0][:, adversaries:], seen[:, adversaries:]], 2)
        return [*seen[:, :adversaries].unbind(1), *knowing.unbind(1)]

    def _rewards(self) -> Tensor:
        adversaries, good = self.to_goal()[1].split([self.cast.adversaries, self.cast.good], 1)
        shared = adversaries.sum(1, keepdim=True) - good.amin(1, keepdim=True)
        return torch.cat([-adversaries, shared.expand(-1, self.cast.good)], 1)

    def _measures(self) -> dict[str, Tensor]:
        return self.goal_measures()
