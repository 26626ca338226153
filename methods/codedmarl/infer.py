"""What trained agents do: actions for observations that come from somewhere, and films of whole episodes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ..common.drawing.animation import save_gif
from ..common.errors import PprError, nearest
from ..common.measuring.cores import torch_threads
from ..common.reading.jsonl import Line
from .agents.episodes import Episodes, environment_of, play
from .agents.model import TrainedAgents
from .environments import Environment
from .weights import DEFAULT

LINE = 'one line is {"agent_0": [numbers], …}'
LARGEST = 3e38  # below which a number fits into float32; NaN is not below it
Observations = Mapping[str, list[float]]
Actions = dict[str, dict[str, Any]]


class Predictor:
    """Trained agents: `predictor(observations)` -> their actions, without exploration. Load once, ask often."""

    def __init__(self, model: TrainedAgents) -> None:
        self.model, self.actors = model, model.actors
        self._actor_of = {actor.spec.name: actor for actor in self.actors}

    @classmethod
    def load(cls, given: str | Path = DEFAULT) -> Predictor:
        """The agents of a run's folder, of a checkpoint file, or those that come along under a name.

        Raises:
            UsageError: none of these.
            PprError: not a checkpoint of this method, or a damaged one.
        """
        return cls(TrainedAgents.load(given))

    def __call__(self, observations: Observations, where: str = "observations") -> Actions:
        """Of each agent that observes something: `soft`, its action in [0, 1], and unless it is a box `discrete`, the largest component.

        Raises:
            PprError: an agent that is not known, or an observation of another length than it was trained on; begins with `where`.
        """
        actions = {}
        for name, values in observations.items():
            actor = self._actor_of.get(name)
            if actor is None:
                raise PprError(f"{where}: no agent '{name[:60]}'", hint=nearest(name[:60], self._actor_of))
            if len(values) != actor.spec.observation:
                raise PprError(f"{where}: {name} observes {actor.spec.observation} numbers, not {len(values)}")
            with torch_threads(1):
                action = actor(torch.tensor([values], dtype=torch.float32))[0]
            choice = {} if actor.spec.kind == "box" else {"discrete": int(action.argmax())}
            actions[name] = choice | {"soft": action.tolist()}
        return actions

    def answer(self, line: Line) -> Actions:
        """The actions for the observations that a line of JSON holds.

        Raises:
            PprError: the line cannot be used, or as for a call; the message says which line.
        """
        return self(parse(line), line.where)

    def environment(self, episodes: int, env: str | None = None) -> Environment:
        """As `environment_of`: to play so many episodes in."""
        return environment_of(self.model, episodes, env=env)

    def film(self, data: Episodes, path: Path, *, fps: float = 10.0, size: int = 480, overwrite: bool = False) -> dict[str, Any]:
        """Play one episode after the other, and write what happens as an animation: `path`, `frames`, `episodes` and `returns` by team.

        Args:
            data: in an environment of one instance.
            fps: steps a second.
            size: pixels of a side.

        Raises:
            UsageError: a size that no picture has, or a file that exists and shall not be overwritten.
            PprError: the folder cannot be written.
        """
        frames: list[Image.Image] = []
        evaluation = play(self.actors, data, watch=lambda seen: frames.append(seen.frame(0, size)))
        save_gif(frames, path, fps, overwrite=overwrite)
        returns = {team: estimate.mean for team, estimate in evaluation.teams().items()}
        return {"path": str(path), "frames": len(frames), "episodes": data.number, "returns": returns}


def parse(line: Line) -> dict[str, list[float]]:
    """A line of JSON as observations by agent.

    Raises:
        PprError: too long, not JSON, or not an object of lists of finite numbers; the message says which line.
    """
    found = line.value(hint=LINE)
    if not isinstance(found, dict) or not found:
        raise PprError(f"{line.where}: no object with an observation an agent", hint=LINE)
    for agent, values in found.items():
        numbers = isinstance(values, list) and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
        if not numbers or not all(abs(value) < LARGEST for value in values):
            raise PprError(f"{line.where}: the observation of {agent[:60]} is no list of finite numbers")
    return found
