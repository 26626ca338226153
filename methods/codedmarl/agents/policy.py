"""What agents do: their actors on observations, with or without exploration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..environments import AgentSpec
from ..network import Mlp, noise, squash


class Player(Protocol):
    """Whoever acts for an agent: observations [B, observation] -> actions in [0, 1], [B, actions].

    With a generator actions are drawn from it, otherwise they are always the same.
    """

    def __call__(self, observations: Tensor, generator: torch.Generator | None = None, /) -> Tensor: ...


@dataclass(frozen=True)
class Actor:
    """An agent's policy.

    Args:
        parameters: flat, float32 [network.length].
    """

    spec: AgentSpec
    network: Mlp
    parameters: Tensor

    def logits(self, observations: Tensor) -> Tensor:
        """[B, observation] -> [B, actions]."""
        with torch.no_grad():
            return self.network.forward(self.network.layers(self.parameters), observations)

    def __call__(self, observations: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Actions in [0, 1], [B, actions]: drawn as in training where a generator is given, else those without noise."""
        logits = self.logits(observations)
        if generator is not None:
            logits = logits + noise(self.spec.kind, len(logits), self.spec.actions, generator)
        return squash(self.spec.kind, logits)


def joint_action(
    players: Sequence[Player], observations: Sequence[Tensor], generators: Sequence[torch.Generator] | None = None
) -> list[Tensor]:
    """What all agents do, [B, actions] each; every agent draws from a generator of its own."""
    drawn = generators if generators is not None else [None] * len(players)
    return [player(seen, generator) for player, seen, generator in zip(players, observations, drawn, strict=True)]
