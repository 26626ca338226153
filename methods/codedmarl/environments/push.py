"""Keep-away (simple_push): adversaries push good agents away from a goal that only the good agents know."""

from __future__ import annotations

import torch
from torch import Tensor

from .batched import GOAL_METRICS, BatchedEnvironment, Cast

LANDMARKS = 2
#: Red, green and blue of the landmarks; a good agent wears a shade of its goal's colour and so sees which one it is.
LANDMARK_COLORS = ((0.1, 0.9, 0.1), (0.1, 0.1, 0.9))
AGENT_COLORS = ((0.25, 0.75, 0.25), (0.25, 0.25, 0.75))


class KeepAway(BatchedEnvironment):
    """Keep-away for any number of adversaries and good agents; one against one it is mpe2's simple_push_v3.

    Reward of a good agent: minus its distance to the goal. Of an adversary: the distance of the nearest good agent to the goal, minus its
    own.

    Observation: own velocity, (good agents: way to the goal, own colour,) way to both landmarks, (good agents: their colours,) way to each
    other agent.
    """

    metrics = GOAL_METRICS
    reward_definition = "per agent: good agents minus their distance to the goal, adversaries the nearest good agent's minus their own"

    def __init__(self, good: int = 1, adversaries: int = 1, envs: int = 1, episode_length: int = 25) -> None:
        cast = Cast(adversaries=adversaries, good=good, landmarks=LANDMARKS, radius=(0.05, 0.05), landmark_radius=0.05, goal=True)
        self._landmark_colors = torch.tensor(LANDMARK_COLORS, dtype=torch.float64).flatten().expand(envs, good, -1)
        self._agent_colors = torch.tensor(AGENT_COLORS, dtype=torch.float64)
        super().__init__("simple_push", cast, envs, episode_length)

    def _observations(self) -> list[Tensor]:
        agents, first = self.cast.agents, self.cast.adversaries
        landmarks = self.vector[:, :, agents:].flatten(2)
        others = self.others(self.vector[:, :, :agents]).flatten(2)
        pushing = torch.cat([self.velocity, landmarks, others], 2)[:, :first]
        color = self._agent_colors[self.goal][:, None].expand(-1, self.cast.good, -1)
        knowing = [self.velocity[:, first:], self.to_goal()[0][:, first:], color]
        pushed = torch.cat([*knowing, landmarks[:, first:], self._landmark_colors, others[:, first:]], 2)
        return [*pushing.unbind(1), *pushed.unbind(1)]

    def _rewards(self) -> Tensor:
        adversaries, good = self.to_goal()[1].split([self.cast.adversaries, self.cast.good], 1)
        return torch.cat([good.amin(1, keepdim=True) - adversaries, -good], 1)

    def _measures(self) -> dict[str, Tensor]:
        return self.goal_measures()
