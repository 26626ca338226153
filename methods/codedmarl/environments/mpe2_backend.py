"""The scenarios by the package mpe2 itself: slow, and the reference of our own."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...common.errors import UsageError
from .base import Step
from .batched import BatchedEnvironment
from .pettingzoo_adapter import PettingZooEnvironment, Player
from .pettingzoo_factory import Build, require


class Mpe2Environment(PettingZooEnvironment):
    """E instances of a scenario of mpe2 with continuous actions.

    Args:
        twin: the same scenario in tensors; it measures what `Step.metrics` holds.

    Raises:
        UsageError: a number of agents that mpe2 does not have.
        PprError: mpe2 is not installed.
    """

    def __init__(self, name: str, twin: BatchedEnvironment) -> None:
        self.metrics, self.reward_definition, self._twin = twin.metrics, twin.reward_definition, twin
        cast = twin.cast
        super().__init__(
            name, mpe2_factory(name, cast.good, cast.adversaries, twin.episode_length), cast.agents, None, twin.envs, twin.episode_length
        )

    def _players(self, environment: Any, adversaries: int | None) -> list[Player]:
        """As of any environment, but their boxes of five numbers are strengths of the five moves."""
        return [replace(player, spec=replace(player.spec, kind="simplex")) for player in super()._players(environment, adversaries)]

    def step(self, actions: Sequence[Tensor]) -> Step:
        """As of any environment, with the scenario's metrics."""
        step = super().step(actions)
        worlds = [instance.environment.unwrapped.world for instance in self.instances]
        self._twin.load(world_state(worlds, len(self._actions)))
        return replace(step, metrics=self._twin.measure())


def mpe2_factory(name: str, good: int, adversaries: int, episode_length: int) -> Build:
    """Makes parallel environments of mpe2.

    Raises:
        UsageError: a number of agents that mpe2 does not have.
        PprError: mpe2 is not installed.
    """
    require("mpe2", "pettingzoo", "gymnasium")
    hint = "leave out --env-backend: the scenarios of ppr are made for several"
    if name == "simple_push" and (good, adversaries) != (1, 1):
        raise UsageError(f"mpe2 has simple_push for 1 adversary and 1 good agent only, not {adversaries} and {good}", hint=hint)
    if name == "simple_adversary" and adversaries != 1:
        raise UsageError(f"mpe2 has simple_adversary for 1 adversary only, not {adversaries}", hint=hint)
    module, counts = {
        "simple_spread": ("mpe2.simple_spread_v3", {"N": good}),
        "simple_tag": ("mpe2.simple_tag_v3", {"num_good": good, "num_adversaries": adversaries}),
        "simple_adversary": ("mpe2.simple_adversary_v3", {"N": good}),
        "simple_push": ("mpe2.simple_push_v3", {}),
    }[name]
    parallel_env = importlib.import_module(module).parallel_env

    def build(drawable: bool) -> Any:
        mode = "rgb_array" if drawable else None
        return parallel_env(max_cycles=episode_length, continuous_actions=True, render_mode=mode, **counts)

    return build


def world_state(worlds: Sequence[Any], steps: int) -> dict[str, Tensor]:
    """Where everything is in E worlds of mpe2, as `BatchedEnvironment.load` takes it."""
    position = np.array([[entity.state.p_pos for entity in world.entities] for world in worlds])
    velocity = np.array([[agent.state.p_vel for agent in world.agents] for world in worlds])
    goals = [world.landmarks.index(goal) if (goal := getattr(world.agents[0], "_goal_a", None)) else 0 for world in worlds]
    return {
        "position": torch.from_numpy(position),
        "velocity": torch.from_numpy(velocity),
        "goal": torch.tensor(goals),
        "steps": torch.tensor(steps),
    }
