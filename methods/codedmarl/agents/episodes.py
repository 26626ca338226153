"""Episodes that agents play without learning: in which environment, from which starts, and what came of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...common.errors import UsageError
from ...common.measuring.cores import torch_threads
from ...common.measuring.seeds import Estimate
from ...common.random import torch_generator
from ..environments import AgentSpec, Environment, Step, make
from .model import TrainedAgents
from .policy import Player, joint_action
from .problem import Purpose

TOGETHER = {"batched": 100, "mpe2": 10}  # episodes that are played at once; 10 also in an environment of one's own


@dataclass(frozen=True)
class Episodes:
    """What agents are evaluated on.

    Args:
        number: of episodes.
        seed: of their starts, and of drawn actions.
        sampled: whether actions are drawn as in training; otherwise they are those without noise.
    """

    environment: Environment
    number: int
    seed: int = 0
    sampled: bool = False

    @property
    def rounds(self) -> int:
        """How often all instances of the environment play an episode."""
        return -(-self.number // self.environment.envs)

    def record(self) -> dict[str, Any]:
        """What a return means that was measured on them."""
        what = f"sum over the {self.environment.episode_length} steps of an episode, mean over agents"
        return {
            "env": self.environment.name,
            "episodes": self.number,
            "policy": "sampled" if self.sampled else "without noise",
            "definition": f"{what}; {self.environment.reward_definition}",
        }


@dataclass(frozen=True)
class Evaluation:
    """Episodes that were played.

    Args:
        returns: float64 [episodes, M], sums of rewards over an episode, not discounted.
        metrics: of the environment, float64 [episodes] each.
    """

    specs: tuple[AgentSpec, ...]
    returns: NDArray[np.float64]
    metrics: dict[str, NDArray[np.float64]]

    @property
    def mean(self) -> float:
        """Of the returns of all agents."""
        return float(self.returns.mean())

    def teams(self) -> dict[str, Estimate]:
        """Of each team the return per agent, over episodes."""
        names = [spec.team for spec in self.specs]
        return {name: Estimate.of(self.returns[:, [team == name for team in names]].mean(1)) for name in sorted(set(names))}

    def record(self) -> dict[str, Any]:
        """`return`, the mean over agents, and of `teams` and `metrics` by name mean, interval and deviation over episodes."""
        teams = {team: vars(estimate) for team, estimate in self.teams().items()}
        return {"return": self.mean, "teams": teams, "metrics": {name: vars(Estimate.of(values)) for name, values in self.metrics.items()}}


def unseen(_environment: Environment) -> None:
    """Look at nothing."""


def play(
    players: Sequence[Player],
    data: Episodes,
    *,
    watch: Callable[[Environment], None] = unseen,
    advance: Callable[[], object] = lambda: None,
) -> Evaluation:
    """At least one episode in each instance of the environment, and as many rounds of them as are needed; the surplus is dropped.

    Args:
        watch: called at the start of an episode and after each step.
        advance: called after each round.
    """
    environment = data.environment
    returns: list[Tensor] = []
    metrics: dict[str, list[Tensor]] = {metric.name: [] for metric in environment.metrics}
    with torch_threads(1):
        for number in range(data.rounds):
            steps = list(_steps(players, data, number, watch))
            valid = torch.stack([step.valid for step in steps])
            returns.append(torch.stack([step.rewards.double() for step in steps]).sum(0))
            for metric in environment.metrics:
                values = torch.stack([step.metrics[metric.name].double() for step in steps])
                metrics[metric.name].append(_summed_up(values, valid, metric.over))
            advance()
    found = {name: torch.cat(values)[: data.number].numpy() for name, values in metrics.items()}
    return Evaluation(environment.specs, torch.cat(returns)[: data.number].numpy(), found)


def _steps(players: Sequence[Player], data: Episodes, number: int, watch: Callable[[Environment], None]) -> Iterator[Step]:
    """An episode in all instances."""
    environment, agents = data.environment, range(len(players))
    observations = environment.reset(torch_generator(data.seed, number, 0, Purpose.EVALUATION_RESET))
    generators = [torch_generator(data.seed, number, agent, Purpose.EVALUATION) for agent in agents] if data.sampled else None
    over = False
    watch(environment)
    while not over:
        step = environment.step(joint_action(players, observations, generators))
        observations, over = step.observations, bool(step.done.all())
        watch(environment)
        yield step


def _summed_up(values: Tensor, valid: Tensor, over: str) -> Tensor:
    """A metric [steps, E] of each instance's steps before it was done."""
    if over == "last":
        return values[valid.sum(0) - 1, torch.arange(values.shape[1])]
    total = torch.where(valid, values, 0).sum(0)
    return total / valid.sum(0) if over == "mean" else total


def environment_of(model: TrainedAgents, episodes: int, *, env: str | None = None) -> Environment:
    """The environment that agents were trained in, or another with the same agents, with instances for so many episodes.

    Raises:
        UsageError: it is code of somebody's (module:function) and was not named by the caller, or its agents are others.
    """
    config = model.problem.config
    if env is None and ":" in config.env:
        raise UsageError(
            f"the agents were trained in {config.env}, which is code outside of ppr", hint=f"give --env {config.env} to import and run it"
        )
    name, adversaries = env or config.env, sum(spec.team == "adversary" for spec in model.specs)
    backend = config.env_backend if env is None else "batched"
    made = make(
        name,
        agents=len(model.specs),
        adversaries=adversaries,
        envs=min(episodes, TOGETHER["mpe2" if ":" in name else backend]),
        episode_length=config.episode_length,
        backend=backend,
    )
    check_agents(model.specs, made.specs, f"the agents were trained in {config.env}, and those of {name}")
    return made


def check_agents(one: Sequence[AgentSpec], other: Sequence[AgentSpec], what: str) -> None:
    """Raise UsageError unless agents have the same names, teams, observations and actions."""
    if len(one) != len(other):
        raise UsageError(f"{what} are {len(other)}, not {len(one)}")
    for mine, theirs in zip(one, other, strict=True):
        if mine != theirs:
            raise UsageError(f"{what} differ: {_described(theirs)}, not {_described(mine)}")


def _described(spec: AgentSpec) -> str:
    return f"{spec.name} ({spec.team}, {spec.observation} observed, {spec.actions} {spec.kind} actions)"
