"""The controller's part of a training: environments, replay, all agents' states. Who computes the updates is not its business."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...common.errors import PprError
from ...common.measuring.cores import torch_threads
from ..config import TrainConfig
from ..environments import Environment, make
from .maddpg import Computation, Minibatch, apply, published, target_actions
from .policy import Actor
from .problem import Problem, Purpose
from .replay import Replay
from .rollout import Rollout
from .state import AgentState, initial_states


class Trainer:
    """Everything of an iteration except the updates: `collect`, `minibatch`, (updates by learners,) `apply`.

    Raises:
        UsageError: there is no such environment, or not with so many agents.
    """

    def __init__(self, config: TrainConfig, environment: Environment | None = None) -> None:
        self.config = config
        self.environment = environment or make(
            config.env,
            agents=config.agents,
            adversaries=config.adversaries,
            envs=config.envs,
            episode_length=config.episode_length,
            backend=config.env_backend,
        )
        self.problem = Problem(self.environment.specs, config)
        self.states: list[AgentState] = initial_states(self.problem.specs, config)
        width, observations = self.problem.width, self.problem.observation_columns[-1].stop
        self.replay = Replay(config.replay, width, observations, len(self.problem.specs))
        self.rollout = Rollout(self.problem, self.environment)

    @property
    def actors(self) -> list[Actor]:
        """The current policies."""
        return [
            Actor(spec, self.problem.actor(agent), state.policy)
            for agent, (spec, state) in enumerate(zip(self.problem.specs, self.states, strict=True))
        ]

    def collect(self, iteration: int) -> None:
        """The iteration's joint steps, before the first one also those of the warm-up."""
        steps = self.config.rollout + (self.config.warmup if iteration == 0 else 0)
        with torch_threads(1):
            self.rollout.collect(self.actors, steps, iteration, self.replay)

    def minibatch(self, iteration: int) -> Minibatch:
        """The same transitions for all agents, with the target policies' actions behind them."""
        rows = self.replay.sample(self.config.batch, self.problem.generator(iteration, 0, Purpose.MINIBATCH))
        ahead = target_actions(self.problem, self.states, rows.next_observations, iteration)
        return Minibatch(rows.joint, torch.cat([rows.next_observations, ahead], 1), rows.rewards, rows.terminated.float())

    def published(self, minibatch: Minibatch) -> dict[str, NDArray[np.generic]]:
        """What learners need in this iteration."""
        return published(self.states, minibatch)

    def apply(self, payloads: Sequence[NDArray[np.float32]], iteration: int) -> None:
        """Take over the updates of all agents, in their order; padding behind them is ignored.

        Raises:
            PprError: an update that is not finite; all agents stay as they were.
        """
        self.states = [
            apply(self.problem, state, payload, iteration, agent)
            for agent, (state, payload) in enumerate(zip(self.states, payloads, strict=True))
        ]

    def iterate(self, iteration: int) -> None:
        """A whole iteration in this process, without learners.

        Raises:
            PprError: a gradient that is not finite; the agents stay as they were.
        """
        self.collect(iteration)
        arrays, compute = self.published(self.minibatch(iteration)), Computation(self.problem)
        self.apply([compute(arrays, iteration, agent) for agent in range(len(self.states))], iteration)

    def digest(self) -> str:
        """SHA-256 over parameters, optimiser states and counters of all agents."""
        found = hashlib.sha256()
        for state in self.states:
            found.update(state.vector.numpy().tobytes() + state.steps.to_bytes(8, "little"))
        return found.hexdigest()

    def state(self, replay_folder: Path | None = None) -> dict[str, Any]:
        """Tensors and plain values, for `load`: a training that goes on from it has the same bits as one that was never interrupted.

        Args:
            replay_folder: where to write the transitions that came since the last call; None puts all of them into the state.
        """
        return {
            "agents": [{"vector": state.vector, "steps": state.steps} for state in self.states],
            "rollout": self.rollout.state(),
            "replay": self.replay.state() if replay_folder is None else {"added": self.replay.save(replay_folder)},
        }

    def load(self, state: Mapping[str, Any], replay_folder: Path | None = None) -> None:
        """Go back to a state.

        Raises:
            PprError: it is that of another training, or its replay is incomplete.
        """
        lengths = [len(own.vector) for own in self.states]
        if [len(saved["vector"]) for saved in state["agents"]] != lengths:
            raise PprError("the saved agents are not those of this configuration", hint="go on with the one they were trained with")
        self.states = [
            AgentState(saved["vector"], own.policy_length, saved["steps"]) for saved, own in zip(state["agents"], self.states, strict=True)
        ]
        if replay_folder is None:
            self.replay.load(state["replay"])
        else:
            self.replay.restore(replay_folder, state["replay"]["added"])
        self.rollout.load(state["rollout"])
