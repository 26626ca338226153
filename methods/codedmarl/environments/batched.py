"""What the four particle scenarios have in common: E worlds in tensors, their episodes, and where things are drawn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor

from ...common.errors import PprError, UsageError
from .base import AgentSpec, Metric, Step
from .drawing import Disc, Scene, draw
from .physics import ACCELERATION, ACTIONS, action_forces, contact_forces, move, offsets

#: Pairs of an agent and an entity over all worlds; a step then needs about a gigabyte.
MAX_PAIRS = 20_000_000


GOAL_METRICS = (
    Metric("good_distance", "distance of the nearest good agent to the goal", "mean"),
    Metric("adversary_distance", "distance of the nearest adversary to the goal", "mean"),
)


@dataclass(frozen=True)
class Cast:
    """Who and what is in a world. Adversaries come first, then good agents, then landmarks, as in mpe2.

    Attributes:
        radius, acceleration, top_speed: of adversaries and of good agents.
        touching: whether agents push each other.
        blocking: whether landmarks push agents.
        spread: landmarks are placed within [-spread, spread].
        goal: one landmark, drawn anew each episode, is the goal.
    """

    adversaries: int
    good: int
    landmarks: int
    radius: tuple[float, float]
    landmark_radius: float
    acceleration: tuple[float, float] = (ACCELERATION, ACCELERATION)
    top_speed: tuple[float, float] | None = None
    touching: bool = True
    blocking: bool = False
    spread: float = 1.0
    goal: bool = False

    @property
    def agents(self) -> int:
        return self.adversaries + self.good

    @property
    def names(self) -> list[str]:
        """As in mpe2."""
        return [f"adversary_{number}" for number in range(self.adversaries)] + [f"agent_{number}" for number in range(self.good)]

    def each(self, pair: tuple[float, float]) -> Tensor:
        """A value of both teams for every agent, float64 [M]."""
        return torch.tensor([pair[0]] * self.adversaries + [pair[1]] * self.good, dtype=torch.float64)


class BatchedEnvironment(ABC):
    """E worlds of a scenario. A scenario says what agents observe, what they are rewarded for and what is measured.

    After each step `vector` [E, M, K, 2] and `distance` [E, M, K] hold the way from each agent to each entity, `position` [E, K, 2] and
    `velocity` [E, M, 2] where everything is (float64), `goal` [E] the number of the goal among the landmarks. `reach` [M, K] are sums of
    radii, `different` [M, M] is False between an agent and itself.

    Raises:
        UsageError: more worlds and agents than fit into memory.
    """

    metrics: tuple[Metric, ...]
    reward_definition: str
    resumable = True

    def __init__(self, name: str, cast: Cast, envs: int, episode_length: int) -> None:
        self.name, self.cast, self.envs, self.episode_length = name, cast, envs, episode_length
        entities = cast.agents + cast.landmarks
        if envs * cast.agents * entities > MAX_PAIRS:
            raise UsageError(
                f"{envs} environments with {cast.agents} agents and {cast.landmarks} landmarks are more than {MAX_PAIRS:,} pairs",
                hint="use fewer --envs or --agents",
            )
        radius = torch.cat([cast.each(cast.radius), torch.full((cast.landmarks,), cast.landmark_radius, dtype=torch.float64)])
        self.reach = radius[: cast.agents, None] + radius
        self.colliders = entities if cast.blocking else cast.agents
        self.acceleration = cast.each(cast.acceleration)[:, None]
        self.top_speed = None if cast.top_speed is None else cast.each(cast.top_speed)[:, None]
        self.different = ~torch.eye(cast.agents, dtype=torch.bool)
        self._pairs = self.different.flatten().nonzero()[:, 0]
        self._nobody = torch.zeros(envs, cast.agents, dtype=torch.bool)
        self.goal = torch.zeros(envs, dtype=torch.int64)
        self._begin(torch.zeros(envs, entities, 2, dtype=torch.float64), torch.zeros(envs, cast.agents, 2, dtype=torch.float64), 0)
        self.specs = tuple(
            AgentSpec(name, observation.shape[1], ACTIONS, "adversary" if number < cast.adversaries else "good")
            for number, (name, observation) in enumerate(zip(cast.names, self._observations(), strict=True))
        )

    @abstractmethod
    def _observations(self) -> list[Tensor]:
        """Of each agent, float64 [E, its observation]."""

    @abstractmethod
    def _rewards(self) -> Tensor:
        """Float64 [E, M]."""

    @abstractmethod
    def _measures(self) -> dict[str, Tensor]:
        """The metrics, [E] each."""

    def reset(self, generator: torch.Generator) -> list[Tensor]:
        """New episodes: agents at rest and uniform in the square [-1, 1]^2."""
        cast = self.cast
        if cast.goal:
            self.goal = torch.randint(cast.landmarks, (self.envs,), generator=generator)
        position = 2 * torch.rand(self.envs, cast.agents + cast.landmarks, 2, generator=generator, dtype=torch.float64) - 1
        position[:, cast.agents :] *= cast.spread
        self._begin(position, torch.zeros(self.envs, cast.agents, 2, dtype=torch.float64), 0)
        return self.observe()

    @torch.no_grad()
    def step(self, actions: Sequence[Tensor]) -> Step:
        """Carry out the actions, float32 [E, 5] an agent; values outside [0, 1] are clipped.

        Raises:
            RuntimeError: the episode is over.
        """
        if self.steps >= self.episode_length:
            raise RuntimeError("the episode is over: reset the environment first")
        agents = self.cast.agents
        force = action_forces(torch.stack(list(actions), 1), self.acceleration)
        if self.cast.touching:
            near = slice(self.colliders)
            force = force + contact_forces(self.vector[:, :, near], self.distance[:, :, near], self.reach[:, near])
        position, velocity = move(self.position[:, :agents], self.velocity, force, self.top_speed)
        self._place(torch.cat([position, self.position[:, agents:]], 1), velocity, self.steps + 1)
        self._way.append(position)
        self._last_rewards = rewards = self._rewards().float()
        return Step(
            observations=self.observe(),
            rewards=rewards,
            done=torch.full((self.envs,), self.steps >= self.episode_length),
            terminated=self._nobody,
            valid=torch.ones(self.envs, dtype=torch.bool),
            metrics=self.measure(),
        )

    def observe(self) -> list[Tensor]:
        """Where the agents stand now, float32 [E, observation] each."""
        return [observation.float() for observation in self._observations()]

    def measure(self) -> dict[str, Tensor]:
        """The metrics as things stand now, float32 [E] each."""
        return {name: value.float() for name, value in self._measures().items()}

    def state(self) -> dict[str, Tensor]:
        """Positions, velocities, goals and the number of steps."""
        return {
            "position": self.position.clone(),
            "velocity": self.velocity.clone(),
            "goal": self.goal.clone(),
            "steps": torch.tensor(self.steps),
        }

    def load(self, state: Mapping[str, Tensor]) -> list[Tensor]:
        """Go back to a state; the observations there.

        Raises:
            PprError: the state is that of another environment.
        """
        for name, mine in self.state().items():
            if name not in state or state[name].shape != mine.shape or state[name].dtype != mine.dtype:
                raise PprError(
                    f"the saved state is not one of {self.envs} environments {self.name} with {self.cast.agents} agents",
                    hint="resume with the environment, --agents and --envs of the run",
                )
        self.goal = state["goal"].clone()
        self._begin(state["position"].clone(), state["velocity"].clone(), int(state["steps"]))
        return self.observe()

    def frame(self, index: int = 0, size: int = 480) -> Image.Image:
        """A picture of one world with the ways of its agents since the last reset, [size, size] RGB."""
        return draw(self.scene(index), size)

    def scene(self, index: int) -> Scene:
        """What is to be drawn of one world."""
        cast, way = self.cast, torch.stack([position[index] for position in self._way]).tolist()
        teams, radii = [spec.team for spec in self.specs], cast.each(cast.radius).tolist()
        discs = [Disc(x, y, cast.landmark_radius, "landmark") for x, y in self.position[index, cast.agents :].tolist()]
        if cast.blocking:
            discs = [replace(disc, kind="obstacle") for disc in discs]
        if cast.goal:
            discs[int(self.goal[index])] = replace(discs[int(self.goal[index])], kind="goal")
        for number, (x, y) in enumerate(way[-1]):
            discs.append(Disc(x, y, radii[number], teams[number], tuple((point[number][0], point[number][1]) for point in way)))
        rewards = {team: float(self._last_rewards[index, [other == team for other in teams]].mean()) for team in sorted(set(teams))}
        return Scene(tuple(discs), self.steps, self.episode_length, rewards)

    def others(self, pairs: Tensor) -> Tensor:
        """Of values [E, M, M, …] of pairs of agents those of different ones: [E, M, M - 1, …], in the order of the second."""
        agents = self.cast.agents
        return pairs.flatten(1, 2).index_select(1, self._pairs).unflatten(1, (agents, agents - 1))

    def to_goal(self) -> tuple[Tensor, Tensor]:
        """From each agent to its world's goal: vectors [E, M, 2] and distances [E, M]."""
        world, entity = torch.arange(self.envs), self.cast.agents + self.goal
        return self.vector[world, :, entity], self.distance[world, :, entity]

    def goal_measures(self) -> dict[str, Tensor]:
        """The `GOAL_METRICS`."""
        distance = self.to_goal()[1]
        adversaries = self.cast.adversaries
        return {"good_distance": distance[:, adversaries:].amin(1), "adversary_distance": distance[:, :adversaries].amin(1)}

    def _begin(self, position: Tensor, velocity: Tensor, steps: int) -> None:
        """An episode, or the rest of one; pictures show the way of the agents from here on."""
        self._place(position, velocity, steps)
        self._way = [position[:, : self.cast.agents]]
        self._last_rewards = torch.zeros(self.envs, self.cast.agents)

    def _place(self, position: Tensor, velocity: Tensor, steps: int) -> None:
        self.position, self.velocity, self.steps = position, velocity, steps
        self.vector, self.distance = offsets(position, self.cast.agents)
