"""Environments by name."""

from __future__ import annotations

from typing import Literal

from ...common.errors import UsageError, nearest
from .adversary import Deception
from .base import Environment
from .batched import BatchedEnvironment
from .push import KeepAway
from .spread import Spread
from .tag import Tag

Backend = Literal["batched", "mpe2"]

#: The scenarios of the paper: cooperative navigation, predator and prey, physical deception, keep-away.
SCENARIOS = ("simple_spread", "simple_tag", "simple_adversary", "simple_push")


def make(
    name: str,
    *,
    agents: int | None = None,
    adversaries: int | None = None,
    envs: int = 1,
    episode_length: int = 25,
    backend: Backend = "batched",
) -> Environment:
    """E instances of an environment.

    Args:
        name: one of `SCENARIOS`, or module:function of a parallel environment of PettingZoo; the function is called once an instance.
        agents: agents in all. None: 3 in the scenarios, and what it has in another environment.
        adversaries: how many of these are adversaries. None: one in simple_adversary, half of all in simple_tag and simple_push; in another
            environment those whose names begin with "adversary".
        backend: of the scenarios.

    Raises:
        UsageError: no such environment; it cannot have so many agents or adversaries; it is not one that can be used here.
        PprError: a package is not installed.
    """
    if min(envs, episode_length) < 1:
        raise UsageError(f"{name}: needs at least one environment and one step, not {envs} and {episode_length}")
    if ":" in name:
        from .pettingzoo_adapter import PettingZooEnvironment
        from .pettingzoo_factory import factory

        return PettingZooEnvironment(name, factory(name), agents, adversaries, envs, episode_length)
    if name not in SCENARIOS:
        hint = f"{nearest(name, SCENARIOS)} (or module:function of a parallel environment of PettingZoo)"
        raise UsageError(f"there is no environment '{name}'", hint=hint)
    good, hunters = teams(name, 3 if agents is None else agents, adversaries)
    environment = batched(name, good, hunters, envs, episode_length)
    if backend == "mpe2":
        from .mpe2_backend import Mpe2Environment

        return Mpe2Environment(name, environment)
    return environment


def batched(name: str, good: int, adversaries: int, envs: int, episode_length: int) -> BatchedEnvironment:
    """A scenario in tensors."""
    if name == "simple_spread":
        return Spread(good, envs, episode_length)
    scenario = {"simple_tag": Tag, "simple_adversary": Deception, "simple_push": KeepAway}[name]
    return scenario(good, adversaries, envs, episode_length)


def teams(name: str, agents: int, adversaries: int | None) -> tuple[int, int]:
    """Good agents and adversaries of a scenario.

    Raises:
        UsageError: a team that has to play is empty, or one that is not there shall have members.
    """
    if agents < 1 or (adversaries is not None and adversaries < 0):
        raise UsageError(f"{name}: cannot have {agents} agents of which {adversaries} are adversaries")
    if name == "simple_spread":
        if adversaries:
            raise UsageError(f"simple_spread has no adversaries, not {adversaries}", hint="leave out --adversaries, or choose simple_tag")
        return agents, 0
    if agents < 2:
        raise UsageError(f"{name}: needs at least 2 agents, one on each side, not {agents}", hint="raise --agents")
    chosen = (1 if name == "simple_adversary" else agents // 2) if adversaries is None else adversaries
    if not 0 < chosen < agents:
        raise UsageError(
            f"{name}: of {agents} agents 1 to {agents - 1} can be adversaries, not {chosen}", hint="change --agents or --adversaries"
        )
    return agents - chosen, chosen
