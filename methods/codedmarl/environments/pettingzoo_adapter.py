"""Parallel environments of PettingZoo, E instances stepped in a loop."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ...common.errors import PprError, UsageError
from .base import AgentSpec, Metric, Step
from .drawing import check_size
from .pettingzoo_factory import Build, brief
from .spaces import ActionCodec, ObservationCodec, action_codec, observation_codec

log = logging.getLogger("ppr")

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Player:
    """An agent and how its observations and actions are written as vectors."""

    spec: AgentSpec
    observation: ObservationCodec
    action: ActionCodec


def players(name: str, environment: Any, adversaries: int | None) -> list[Player]:
    """The agents of a parallel environment; the first `adversaries` of them, or those that are called so, are adversaries.

    Raises:
        UsageError: no agents, fewer than adversaries, or spaces that cannot be used.
    """
    with _foreign(name, "its list of agents"):
        names = [str(agent) for agent in environment.possible_agents]
    if not names or (adversaries is not None and not 0 <= adversaries <= len(names)):
        raise UsageError(f"{name}: has {len(names)} agents, of which {adversaries or 0} shall be adversaries")
    found = []
    for number, agent in enumerate(names):
        hostile = agent.startswith("adversary") if adversaries is None else number < adversaries
        with _foreign(name, f"the spaces of {agent}"):
            seen, done = environment.observation_space(agent), environment.action_space(agent)
        observation, action = observation_codec(seen, f"{name}: {agent}"), action_codec(done, f"{name}: {agent}")
        spec = AgentSpec(agent, observation.size, action.size, "adversary" if hostile else "good", action.kind)
        found.append(Player(spec, observation, action))
    return found


class Moment(NamedTuple):
    """What one instance says after a step: an observation of each agent, rewards [M] and whether it was terminated [M]."""

    observations: list[Floats]
    rewards: Floats
    terminated: NDArray[np.bool_]


class Instance:
    """One parallel environment, spoken to in vectors."""

    def __init__(self, name: str, environment: Any, members: Sequence[Player]) -> None:
        self.name, self.environment, self.players = name, environment, members
        self.present: set[str] = set()
        self.terminated = np.zeros(len(members), dtype=bool)

    def reset(self, seed: int) -> list[Floats]:
        """A new episode; the observations.

        Raises:
            UsageError: other agents than at first.
            PprError: the environment fails.
        """
        with _foreign(self.name, "reset"):
            observations, _ = self.environment.reset(seed=seed)
            self.present = {str(agent) for agent in self.environment.agents}
        self.terminated[:] = False
        expected = [player.spec.name for player in self.players]
        if self.present != set(expected):
            raise UsageError(
                f"{self.name}: starts an episode with the agents {_listed(sorted(self.present))}, not {_listed(expected)}",
                hint="every episode needs the same agents; they may leave during it",
            )
        return self._encoded(observations)

    def step(self, actions: Sequence[Floats]) -> Moment:
        """Carry out the actions of the agents that are present; those that are not get zeros and stay terminated.

        Raises:
            PprError: the environment fails, or gives numbers that are not finite.
        """
        acting = [number for number, player in enumerate(self.players) if player.spec.name in self.present]
        chosen = {self.players[number].spec.name: self.players[number].action.decode(actions[number]) for number in acting}
        with _foreign(self.name, "step"):
            observations, rewards, terminations, _, _ = self.environment.step(chosen)
            self.present &= {str(agent) for agent in self.environment.agents}
        earned = np.zeros(len(self.players), dtype=np.float32)
        # An agent that left before, also by being cut off, has no value any more.
        self.terminated = np.array([number not in acting for number in range(len(self.players))])
        for number in acting:
            agent = self.players[number].spec.name
            earned[number] = rewards.get(agent, 0.0)
            self.terminated[number] = bool(terminations.get(agent, False))
            if not np.isfinite(earned[number]):
                raise PprError(f"{self.name}: {agent} got the reward {earned[number]}")
        return Moment(self._encoded({agent: seen for agent, seen in observations.items() if agent in chosen}), earned, self.terminated)

    def _encoded(self, observations: Mapping[str, Any]) -> list[Floats]:
        encoded = []
        for player in self.players:
            if player.spec.name in observations:
                encoded.append(player.observation.encode(observations[player.spec.name]))
                if not np.isfinite(encoded[-1]).all():
                    raise PprError(f"{self.name}: {player.spec.name} got an observation that is not finite")
            else:
                encoded.append(np.zeros(player.spec.observation, dtype=np.float32))
        return encoded


class PettingZooEnvironment:
    """E instances of a parallel environment.

    An agent that has left has observations and rewards of 0 and is terminated until the episode is over. An instance that all have left is
    done and waits (`Step.valid` is False) until the others are done, too. Instances are seeded by the generator given to `reset`; to
    resume in the middle of an episode its actions are carried out again from the same seeds.

    Args:
        build: makes an instance.
        agents: how many are expected; None takes what there is.
        adversaries: the first so many agents; None: those whose names begin with "adversary".

    Raises:
        UsageError: other agents than expected, or spaces that cannot be used.
    """

    metrics: tuple[Metric, ...] = ()
    reward_definition = "per agent, as the environment gives them"
    resumable = True

    def __init__(
        self, name: str, build: Build, agents: int | None = None, adversaries: int | None = None, envs: int = 1, episode_length: int = 25
    ) -> None:
        self.name, self.envs, self.episode_length, self._build = name, envs, episode_length, build
        first = build(False)
        self.players = self._players(first, adversaries)
        self.specs = tuple(player.spec for player in self.players)
        if agents is not None and agents != len(self.specs):
            raise UsageError(f"{name}: has {len(self.specs)} agents, not {agents}", hint=f"give --agents {len(self.specs)}")
        self.instances = [Instance(name, made, self.players) for made in (first, *(build(False) for _ in range(envs - 1)))]
        self._drawable = [False] * envs
        self._seeds: list[int] = []
        self._actions: list[list[Floats]] = []
        self._seen = [torch.zeros(envs, spec.observation) for spec in self.specs]
        self._over = np.ones(envs, dtype=bool)

    def _players(self, environment: Any, adversaries: int | None) -> list[Player]:
        return players(self.name, environment, adversaries)

    def reset(self, generator: torch.Generator) -> list[Tensor]:
        """New episodes in all instances.

        Raises:
            UsageError: an episode that starts with other agents.
            PprError: the environment fails.
        """
        return self._restart(torch.randint(2**31, (self.envs,), generator=generator).tolist())

    def step(self, actions: Sequence[Tensor]) -> Step:
        """Carry out the actions, float32 [E, actions] an agent.

        Raises:
            RuntimeError: the episode is over.
            PprError: the environment fails.
        """
        if self._over.all():
            raise RuntimeError("the episode is over: reset the environment first")
        chosen = [action.detach().numpy().astype(np.float32) for action in actions]
        self._actions.append(chosen)
        valid = ~self._over
        rewards = np.zeros((self.envs, len(self.specs)), dtype=np.float32)
        terminated = np.ones(rewards.shape, dtype=bool)
        seen = [torch.zeros(self.envs, spec.observation) for spec in self.specs]
        for index in np.flatnonzero(valid):
            moment = self.instances[index].step([action[index] for action in chosen])
            rewards[index], terminated[index] = moment.rewards, moment.terminated
            for into, observation in zip(seen, moment.observations, strict=True):
                into[index] = torch.from_numpy(observation)
            self._over[index] = not self.instances[index].present or len(self._actions) >= self.episode_length
        self._seen = seen
        return Step(
            observations=list(seen),
            rewards=torch.from_numpy(rewards),
            done=torch.from_numpy(self._over.copy()),
            terminated=torch.from_numpy(terminated),
            valid=torch.from_numpy(valid),
            metrics={},
        )

    def state(self) -> dict[str, Tensor]:
        """The seeds of the episode, its actions [steps, E, all actions] so far, and where they led."""
        actions = [torch.from_numpy(np.concatenate(joint, 1)) for joint in self._actions]
        width = sum(spec.actions for spec in self.specs)
        return {
            "seeds": torch.tensor(self._seeds, dtype=torch.int64),
            "actions": torch.stack(actions) if actions else torch.zeros(0, self.envs, width),
            "observations": torch.cat(self._seen, 1),
        }

    def load(self, state: Mapping[str, Tensor]) -> list[Tensor]:
        """Carry out the saved episode again; the observations there. Warns if they are not those of the saved state.

        Raises:
            PprError: the state is that of another environment, or the environment fails.
        """
        mine = self.state()
        if set(state) != set(mine) or any(state[key].shape[-1:] != mine[key].shape[-1:] for key in ("actions", "observations")):
            raise PprError(f"the saved state is not one of {self.name}", hint="resume with the environment of the run")
        if len(state["seeds"]) not in (0, self.envs) or state["actions"].shape[1] != self.envs:
            raise PprError(f"the saved state is not one of {self.envs} instances of {self.name}", hint="resume with the --envs of the run")
        if not len(state["seeds"]):
            return list(self._seen)
        self._restart(state["seeds"].tolist())
        for joint in state["actions"]:
            self.step(joint.split([spec.actions for spec in self.specs], 1))
        if not torch.equal(torch.cat(self._seen, 1), state["observations"]):
            log.warning("%s: the same seed and actions led elsewhere, so the run does not go on exactly as it would have", self.name)
        return list(self._seen)

    def frame(self, index: int = 0, size: int = 480) -> Image.Image:
        """The environment's own picture of an instance, RGB, its longer side `size` pixels.

        Raises:
            PprError: it draws none.
            UsageError: a size that no picture has.
        """
        check_size(size)
        if not self._drawable[index]:
            self._make_drawable(index)
        with _foreign(self.name, "render"):
            pixels = self.instances[index].environment.render()
        if not isinstance(pixels, np.ndarray) or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise PprError(
                f"{self.name}: draws no picture", hint="its function has to accept render_mode='rgb_array', and its render to obey"
            )
        picture = Image.fromarray(pixels.astype(np.uint8))
        scale = size / max(picture.size)
        return picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)

    def _make_drawable(self, index: int) -> None:
        """Put an instance that draws in the place of another; it does what that has done in this episode."""
        if not self._seeds:
            raise RuntimeError("reset the environment first")
        instance = Instance(self.name, self._build(True), self.players)
        instance.reset(self._seeds[index])
        for joint in self._actions:
            if instance.present:
                instance.step([action[index] for action in joint])
        self.instances[index], self._drawable[index] = instance, True

    def _restart(self, seeds: list[int]) -> list[Tensor]:
        self._seeds, self._actions = seeds, []
        self._over = np.zeros(self.envs, dtype=bool)
        started = [instance.reset(seed) for instance, seed in zip(self.instances, seeds, strict=True)]
        self._seen = [torch.from_numpy(np.stack(observations)) for observations in zip(*started, strict=True)]
        return list(self._seen)


@contextmanager
def _foreign(name: str, what: str) -> Iterator[None]:
    """Turns whatever somebody else's environment raises into one line."""
    try:
        yield
    except Exception as error:
        raise PprError(f"{name}: {what} failed ({brief(error)})") from error


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "") if names else "none"
