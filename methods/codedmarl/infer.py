"""Actions for observations that come as JSON, one joint observation a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ..common.errors import PprError, nearest
from ..common.measuring.cores import torch_threads
from ..common.reading.jsonl import Line
from .agents.model import TrainedAgents

LINE = 'one line is {"agent_0": [numbers], …}'
LARGEST = 3e38  # below which a number fits into float32; NaN is not below it


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


class Advisor:
    """Actions of trained agents, without exploration. Load once, ask often."""

    def __init__(self, model: TrainedAgents) -> None:
        self.actors = {actor.spec.name: actor for actor in model.actors}

    def __call__(self, observations: Mapping[str, list[float]], where: str = "observations") -> dict[str, dict[str, Any]]:
        """Of each agent that observes something: `soft`, its action in [0, 1], and unless it is a box `discrete`, the largest component.

        Raises:
            PprError: an agent that is not known, or an observation of another length than it was trained on; begins with `where`.
        """
        answers = {}
        for name, values in observations.items():
            actor = self.actors.get(name)
            if actor is None:
                raise PprError(f"{where}: no agent '{name[:60]}'", hint=nearest(name[:60], self.actors))
            if len(values) != actor.spec.observation:
                raise PprError(f"{where}: {name} observes {actor.spec.observation} numbers, not {len(values)}")
            with torch_threads(1):
                action = actor(torch.tensor([values], dtype=torch.float32))[0]
            choice = {} if actor.spec.kind == "box" else {"discrete": int(action.argmax())}
            answers[name] = choice | {"soft": action.tolist()}
        return answers
