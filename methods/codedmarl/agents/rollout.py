"""Acting in E environments at once, with random numbers that do not depend on what was drawn before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..environments import Environment
from .policy import Actor, joint_action
from .problem import Problem, Purpose
from .replay import Replay, Transitions


@dataclass
class Ended:
    """Episodes that ended since somebody looked: the returns of all agents, float32 [M] each."""

    returns: list[Tensor] = field(default_factory=list)

    def mean_return(self) -> float | None:
        """Mean over episodes and agents; None where no episode ended."""
        return float(torch.stack(self.returns).mean()) if self.returns else None


class Rollout:
    """E environments, the observations they show, and the returns of the episodes in progress (float32 [E, M])."""

    def __init__(self, problem: Problem, environment: Environment) -> None:
        self.problem, self.environment = problem, environment
        self.rounds = 0
        self.ended = Ended()
        self._reset()

    def _reset(self) -> None:
        self.observations = self.environment.reset(self.problem.generator(self.rounds, 0, Purpose.RESET))
        self.returns = torch.zeros(self.environment.envs, len(self.problem.specs))
        self.rounds += 1

    def collect(self, actors: Sequence[Actor], steps: int, iteration: int, replay: Replay) -> None:
        """At least `steps` joint steps of the current policies with exploration into the replay, in whole rounds of E."""
        agents = range(len(actors))
        generators = [self.problem.generator(iteration, agent, Purpose.ROLLOUT) for agent in agents]
        for _ in range(-(-steps // self.environment.envs)):
            actions = joint_action(actors, self.observations, generators)
            step = self.environment.step(actions)
            happened = Transitions(
                torch.cat([*self.observations, *actions], 1), torch.cat(step.observations, 1), step.rewards, step.terminated
            )
            replay.add(happened if bool(step.valid.all()) else happened[step.valid])
            self.observations, self.returns = step.observations, self.returns + step.rewards
            if bool(step.done.all()):
                self.ended.returns += list(self.returns)
                self._reset()

    def state(self) -> dict[str, Any]:
        """What `load` takes, also in the middle of an episode."""
        return {
            "environment": self.environment.state(),
            "returns": self.returns,
            "rounds": self.rounds,
            "ended": list(self.ended.returns),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go back to a state.

        Raises:
            PprError: it is that of another environment.
        """
        self.observations = self.environment.load(state["environment"])
        self.returns, self.rounds, self.ended = state["returns"], state["rounds"], Ended(list(state["ended"]))
