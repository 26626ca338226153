"""What every environment of `ppr codedmarl` is: E instances of one scenario, stepped together, one reward an agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from PIL import Image
from torch import Tensor

Team = Literal["good", "adversary"]


@dataclass(frozen=True)
class AgentSpec:
    """An agent as its networks see it.

    Attributes:
        name: adversary_0, agent_0 …
        observation: numbers of an observation.
        actions: numbers of an action, each in [0, 1].
        kind: what they mean. simplex: strengths of nothing, left, right, down, up, as of a softmax. discrete: one weight a choice, the
            largest is carried out. box: each goes linearly from the lower to the upper bound of a continuous action.
    """

    name: str
    observation: int
    actions: int
    team: Team
    kind: Literal["simplex", "discrete", "box"] = "simplex"


@dataclass(frozen=True)
class Metric:
    """A quantity of each step that is not a reward, and how an episode sums it up."""

    name: str
    description: str
    over: Literal["sum", "mean", "last"]


@dataclass(frozen=True)
class Step:
    """What a joint step of E environments with M agents led to.

    Attributes:
        observations: of each agent, float32 [E, its observation].
        rewards: float32 [E, M], one an agent: see the environment's `reward_definition`.
        done: bool [E], the episode is over. Reset when all are.
        terminated: bool [E, M], the agent has reached an end of its task, beyond which there is no value. An episode that is merely cut
            off by its length is done, but not terminated.
        valid: bool [E], False in an instance that was done before this step: it waits for the others with observations and rewards of 0.
        metrics: float32 [E] for each of the environment's `metrics`.
    """

    observations: list[Tensor]
    rewards: Tensor
    done: Tensor
    terminated: Tensor
    valid: Tensor
    metrics: dict[str, Tensor]


class Environment(Protocol):
    """E instances of a scenario.

    Attributes:
        name: as given to `make`.
        episode_length: steps after which every instance is done.
        metrics: what `Step.metrics` holds.
        reward_definition: one sentence, to stand beside every return.
        resumable: whether `load` goes on bit for bit from what `state` gave.
    """

    name: str
    specs: tuple[AgentSpec, ...]
    envs: int
    episode_length: int
    metrics: tuple[Metric, ...]
    reward_definition: str
    resumable: bool

    def reset(self, generator: torch.Generator) -> list[Tensor]:
        """New episodes in all instances, drawn from the generator; the first observations, float32 [E, observation] an agent."""

    def step(self, actions: Sequence[Tensor]) -> Step:
        """Carry out the actions, float32 [E, actions] an agent, in [0, 1]."""

    def state(self) -> dict[str, Tensor]:
        """What `load` takes, also in the middle of an episode."""

    def load(self, state: Mapping[str, Tensor]) -> list[Tensor]:
        """Go back to a state; the observations there.

        Raises:
            PprError: the state is that of another environment.
        """

    def frame(self, index: int = 0, size: int = 480) -> Image.Image:
        """A picture of one instance, RGB; size: pixels of its longer side where the environment lets one choose."""
