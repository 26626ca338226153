"""Trained agents in one file: actors and critics of all of them, and what they observe and do. Loading needs no environment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from ...common.config import validate
from ...common.errors import PprError
from ...common.running.checkpoint import Meta, load_checkpoint, save_checkpoint
from ..config import TrainConfig
from ..environments import AgentSpec
from ..environments.base import Team
from ..network import Kind, Mlp
from ..weights import EMBEDDED
from .policy import Actor
from .problem import Problem
from .state import AgentState

METHOD = "codedmarl"
ARCH = "mlp"
MAX_AGENTS, MAX_WIDTH = 10_000, 1_000_000


@dataclass(frozen=True)
class TrainedAgents:
    """What a training leaves behind.

    Args:
        policies, critics: flat parameters of each agent, float32.
        meta: full configuration, metrics, and `notes` with the agents' specs.
    """

    problem: Problem
    policies: list[Tensor]
    critics: list[Tensor]
    meta: Meta

    @property
    def specs(self) -> tuple[AgentSpec, ...]:
        return self.problem.specs

    @property
    def actors(self) -> list[Actor]:
        return [
            Actor(spec, self.problem.actor(agent), policy)
            for agent, (spec, policy) in enumerate(zip(self.specs, self.policies, strict=True))
        ]

    @classmethod
    def of(
        cls, problem: Problem, states: Sequence[AgentState], *, iteration: int, metrics: Mapping[str, float] | None = None
    ) -> TrainedAgents:
        """The agents as they are after an iteration of a training."""
        notes = {"agents": json.dumps([asdict(spec) for spec in problem.specs])}
        config = problem.config.model_dump(mode="json")
        meta = Meta(METHOD, ARCH, config, dict(metrics or {}), notes=notes, seed=problem.config.seed, epoch=iteration)
        return cls(problem, [state.policy for state in states], [state.critic for state in states], meta)

    def save(self, path: Path, *, overwrite: bool = True) -> Path:
        """Write one checkpoint: NAME.actor.0.weight and so on, numbered as in torch's Sequential of Linear and ReLU."""
        state: dict[str, Tensor] = {}
        for agent, (spec, policy, critic) in enumerate(zip(self.specs, self.policies, self.critics, strict=True)):
            state |= _named(spec.name, "actor", self.problem.actor(agent), policy)
            state |= _named(spec.name, "critic", self.problem.critic(agent), critic)
        return save_checkpoint(path, state, self.meta, overwrite=overwrite)

    @classmethod
    def load(cls, given: str | Path) -> TrainedAgents:
        """The agents of a run's folder, of a checkpoint file, or those that come along under a name.

        Raises:
            UsageError: none of these.
            PprError: not a checkpoint of this method, or a damaged one.
        """
        path = EMBEDDED.find(given)
        checkpoint = load_checkpoint(path, method=METHOD)
        try:
            problem = Problem(_specs(checkpoint.meta), validate(TrainConfig, checkpoint.meta.config, where=str(path)))
            names = [spec.name for spec in problem.specs]
            policies = [_flat(name, "actor", problem.actor(agent), checkpoint.state) for agent, name in enumerate(names)]
            critics = [_flat(name, "critic", problem.critic(agent), checkpoint.state) for agent, name in enumerate(names)]
        except (PprError, KeyError, ValueError, TypeError) as error:
            raise PprError(f"{path}: damaged checkpoint ({error})", hint="copy it again, or train anew") from error
        return cls(problem, policies, critics, checkpoint.meta)


def _layer_names(name: str, role: str, network: Mlp) -> list[str]:
    layers = range(len(network.sizes) - 1)
    return [f"{name}.{role}.{2 * layer}.{part}" for layer in layers for part in ("weight", "bias")]


def _named(name: str, role: str, network: Mlp, flat: Tensor) -> dict[str, Tensor]:
    return {key: part.clone() for key, part in zip(_layer_names(name, role, network), network.layers(flat), strict=True)}


def _flat(name: str, role: str, network: Mlp, state: Mapping[str, Tensor]) -> Tensor:
    parts = [state[key] for key in _layer_names(name, role, network)]
    if [tuple(part.shape) for part in parts] != network.shapes:
        raise ValueError(f"the {role} of {name} has layers of other sizes than its metadata say")
    return torch.cat([part.flatten() for part in parts])


def _specs(meta: Meta) -> tuple[AgentSpec, ...]:
    """The agents that a checkpoint's metadata describe.

    Raises:
        KeyError, TypeError, ValueError: they don't, or nothing that can be.
    """
    described = json.loads(meta.notes["agents"])
    if not isinstance(described, list) or not 0 < len(described) <= MAX_AGENTS:
        raise ValueError("no list of agents in the metadata")
    specs = tuple(AgentSpec(**entry) for entry in described)
    for spec in specs:
        sizes = isinstance(spec.observation, int) and isinstance(spec.actions, int)
        if not sizes or not (0 < spec.observation <= MAX_WIDTH and 0 < spec.actions <= MAX_WIDTH):
            raise ValueError(f"{spec.name}: sizes that are no sizes")
        if spec.kind not in get_args(Kind) or spec.team not in get_args(Team):
            raise ValueError(f"{spec.name}: unknown kind or team")
    if len({spec.name for spec in specs}) < len(specs):
        raise ValueError("two agents of one name")
    return specs
