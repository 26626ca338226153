"""Controllers of the toy computation under chosen faults, for the tests of what a controller does and of what it writes down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ppr.methods.codedmarl.codes.code import Code
from ppr.methods.codedmarl.config import TrainConfig
from ppr.methods.codedmarl.learners.controller import Collected, Controller
from ppr.methods.codedmarl.learners.engine import Computation, Engine
from ppr.methods.codedmarl.learners.journal import Journal
from ppr.methods.codedmarl.learners.simulated import SimEngine
from ppr.methods.codedmarl.learners.stragglers import Faults

from ..toy import Toy, arrays, expected, lengths

AGENTS = 4
NAMES = [f"agent_{agent}" for agent in range(AGENTS)]
X = arrays()["x"]
TOY = Toy()


class Given:
    """Faults by iteration: {iteration: {learner: delay, "kill", "corrupt" or "drop"}}."""

    def __init__(self, learners: int, faults: Mapping[int, Mapping[int, float | str]] = {}) -> None:
        self.learners, self.faults = learners, faults

    def draw(self, iteration: int) -> Faults:
        delays, masks = np.zeros(self.learners), {kind: np.zeros(self.learners, bool) for kind in ("kill", "corrupt", "drop")}
        for learner, fault in self.faults.get(iteration, {}).items():
            if isinstance(fault, str):
                masks[fault][learner] = True
            else:
                delays[learner] = fault
        return Faults(delays, masks["kill"], masks["corrupt"], masks["drop"])


@contextmanager
def controlled(
    code: Code,
    faults: Mapping[int, Mapping[int, float | str]] = {},
    *,
    engine: Engine | None = None,
    toy: Computation = TOY,
    folder: Path | None = None,
    **changes: Any,
) -> Iterator[Controller]:
    """A controller of the toy's learners, on a virtual clock unless an engine is given."""
    config = TrainConfig.model_validate({"field": code.field, "timeout": 5.0, **changes})
    with engine or SimEngine(update_time=0.1) as started:
        started.start(toy, code.learners)
        yield Controller(started, code, lengths(AGENTS), NAMES, config, Given(code.learners, faults), Journal(folder))


def skip(engine: Engine, seconds: float) -> None:
    """Let a virtual clock go on."""
    assert isinstance(engine, SimEngine)
    engine.shift += seconds


def right(got: Collected, iteration: int) -> bool:
    return all(np.array_equal(vector, expected(X, iteration, agent)) for agent, vector in enumerate(got.vectors))


def events(controller: Controller, kind: str) -> list[dict[str, Any]]:
    return [event for event in controller.journal.events if event["event"] == kind]
