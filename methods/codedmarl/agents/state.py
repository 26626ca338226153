"""All that an agent has learned, as one flat vector: parameters, targets and optimiser state."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ...common.measuring.cores import torch_threads
from ..config import TrainConfig
from ..environments import AgentSpec
from .problem import Problem, Purpose


@dataclass(frozen=True)
class AgentState:
    """All that an agent has learned. A state is not changed any more; an update makes a new one.

    Args:
        vector: float32 [4 (P + C)]: policy [P], critic [C], target policy [P], target critic [C], then Adam's first and second moments of
            the policy [P, P] and of the critic [C, C].
        policy_length: P.
        steps: updates so far.
    """

    vector: Tensor
    policy_length: int
    steps: int = 0

    @property
    def critic_length(self) -> int:
        return len(self.vector) // 4 - self.policy_length

    @cached_property
    def _parts(self) -> tuple[Tensor, ...]:
        p, c = self.policy_length, self.critic_length
        return self.vector.split([p, c, p, c, p, p, c, c])

    policy = property(lambda self: self._parts[0])
    critic = property(lambda self: self._parts[1])
    target_policy = property(lambda self: self._parts[2])
    target_critic = property(lambda self: self._parts[3])
    policy_m = property(lambda self: self._parts[4])
    policy_v = property(lambda self: self._parts[5])
    critic_m = property(lambda self: self._parts[6])
    critic_v = property(lambda self: self._parts[7])

    def successor(self) -> AgentState:
        """A copy with one step more, for an update to write into."""
        return AgentState(self.vector.clone(), self.policy_length, self.steps + 1)

    @classmethod
    def start(cls, policy: Tensor, critic: Tensor) -> AgentState:
        """Before the first update: targets are copies, moments are 0."""
        zeros = torch.zeros(2 * (len(policy) + len(critic)))
        return cls(torch.cat([policy, critic, policy, critic, zeros]), len(policy))


def initial_states(specs: tuple[AgentSpec, ...], config: TrainConfig) -> list[AgentState]:
    """Every agent with new networks, drawn from (seed, agent)."""
    problem = Problem(specs, config)
    states = []
    with torch_threads(1):
        for agent in range(len(specs)):
            generator = problem.generator(0, agent, Purpose.INITIAL)
            states.append(AgentState.start(problem.actor(agent).initial(generator), problem.critic(agent).initial(generator)))
    return states
