"""How fast the scenarios are beside the package mpe2."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ...common.measuring.cores import torch_threads
from ...common.random import torch_generator
from .catalogue import batched, teams
from .mpe2_backend import mpe2_factory

EPISODE = 25


@dataclass(frozen=True)
class Throughput:
    """Joint steps a second of CPU time on one thread; a joint step is one step of all agents of one world."""

    batched: float
    mpe2: float

    @property
    def ratio(self) -> float:
        return self.batched / self.mpe2


def compare(name: str = "simple_spread", agents: int = 8, adversaries: int | None = None, envs: int = 32, rounds: int = 4) -> Throughput:
    """Measure both in turns in this process, steps only: in each round 4 episodes of all worlds at once, and one of a single world of mpe2.

    Raises:
        UsageError: the environment cannot be made.
        PprError: mpe2 is not installed.
    """
    good, hunters = teams(name, agents, adversaries)
    environment = batched(name, good, hunters, envs, EPISODE)
    other = mpe2_factory(name, good, hunters, EPISODE)(False)
    generator = torch_generator(0, 0, 0, 1)
    actions = [torch.rand(envs, spec.actions, generator=generator) for spec in environment.specs]
    same = {spec.name: action[0].numpy() for spec, action in zip(environment.specs, actions, strict=True)}
    ours = theirs = 0.0
    with torch_threads(1):
        for number in range(rounds):
            for _ in range(4):
                environment.reset(generator)
                ours += _seconds(lambda: environment.step(actions))
            other.reset(seed=number)
            theirs += _seconds(lambda: other.step(same))
    steps = EPISODE * rounds
    return Throughput(4 * steps * envs / ours, steps / theirs)


def _seconds(step: Callable[[], object]) -> float:
    """CPU time of the steps of an episode."""
    start = time.process_time()
    for _ in range(EPISODE):
        step()
    return time.process_time() - start
