"""How good trained agents are: returns with confidence intervals beside those of random play, and teams of two trainings together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..common.errors import UsageError
from .agents.episodes import Episodes, Evaluation, check_agents, play
from .environments import AgentSpec
from .infer import Predictor


@dataclass(frozen=True)
class RandomPlayer:
    """Does anything, as the `sample` of an action space: each number of an action is uniform in [0, 1]."""

    spec: AgentSpec

    def __call__(self, observations: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """[B, observation] -> [B, actions]."""
        return torch.rand(len(observations), self.spec.actions, generator=generator)


def evaluate(predictor: Predictor, data: Episodes, advance: Callable[[], object] = lambda: None) -> dict[str, Any]:
    """What `data` is, and of all its episodes `return` per agent, `teams` and `metrics` (see `Evaluation.record`).

    Under `baselines` the same of other players who begin from the same starts: `random` ones, who neither look nor have learned.

    Args:
        advance: called after each round of episodes, 2 `data.rounds` times.
    """
    players = [RandomPlayer(spec) for spec in predictor.model.specs]
    trained = play(predictor.actors, data, advance=advance)
    random = play(players, replace(data, sampled=True), advance=advance)
    return {**data.record(), **trained.record(), "baselines": {"random": random.record()}}


@dataclass(frozen=True)
class Match:
    """Two sides, each of one of two trainings (0, 1), and how they did."""

    sides: tuple[int, int]
    evaluation: Evaluation


def sides_of(specs: Sequence[AgentSpec]) -> tuple[list[int], list[int]]:
    """Who plays together: good agents and adversaries, or where there is one team its first and its second half.

    Raises:
        UsageError: a single agent.
    """
    adversaries = [agent for agent, spec in enumerate(specs) if spec.team == "adversary"]
    good = [agent for agent, spec in enumerate(specs) if spec.team == "good"]
    if adversaries and good:
        return good, adversaries
    if len(specs) < 2:
        raise UsageError("a single agent has nobody to play with", hint="leave --opponent out")
    everybody = list(range(len(specs)))
    return everybody[: (len(specs) + 1) // 2], everybody[(len(specs) + 1) // 2 :]


def cross_play(one: Predictor, other: Predictor, data: Episodes, advance: Callable[[], object] = lambda: None) -> list[Match]:
    """All four pairings of the sides of two trainings, with the same starts.

    Args:
        advance: called after each round of episodes, 4 `data.rounds` times.

    Raises:
        UsageError: agents that differ, or a single one.
    """
    specs = one.model.specs
    check_agents(specs, other.model.specs, "the agents of the two runs")
    first, _second = sides_of(specs)
    matches = []
    for sides in ((0, 0), (0, 1), (1, 0), (1, 1)):
        trainings = [(one, other)[sides[0] if agent in first else sides[1]] for agent in range(len(specs))]
        actors = [training.actors[agent] for agent, training in enumerate(trainings)]
        matches.append(Match(sides, play(actors, data, advance=advance)))
    return matches
