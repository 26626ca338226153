"""What each learner is given in an iteration: its row of the code, with the fault that is injected into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..codes.code import Code
from .engine import NO_FAULT, Assignment, Fault
from .stragglers import Faults


@dataclass(frozen=True)
class Work:
    """The tasks of one iteration.

    Args:
        lengths: floats of each agent's update.
    """

    code: Code
    lengths: Sequence[int]
    iteration: int

    def of(self, learner: int, fault: Fault = NO_FAULT) -> list[Assignment]:
        """A learner's tasks: one for its share, of a separate code one an agent."""
        agents, coefficients = self.code.row(learner)
        if not agents:
            return []
        if not self.code.separate:
            values = tuple(coefficients.tolist())
            return [Assignment(self.iteration, learner, agents, values, self.code.field, max(self.lengths), fault=fault)]
        # Of a learner that waits once, the last share waits; a killed one has done half of its updates.
        last, half = len(agents) - 1, (len(agents) - 1) // 2
        return [
            replace(
                self.single(learner, agent),
                fault=replace(fault, delay=fault.delay if fault.each or place == last else 0.0, kill=fault.kill and place == half),
            )
            for place, agent in enumerate(agents)
        ]

    def single(self, learner: int, agent: int) -> Assignment:
        """The update of one agent, sent as it is."""
        return Assignment(self.iteration, learner, (agent,), (1.0,), self.code.field, self.lengths[agent], plain=True)


def fault_of(faults: Faults, learner: int, mode: Literal["sleep", "burn"]) -> Fault:
    """What is done to one learner."""
    return Fault(
        delay=float(faults.delays[learner]),
        each=faults.per_update,
        kill=bool(faults.killed[learner]),
        corrupt=bool(faults.corrupted[learner]),
        drop=bool(faults.dropped[learner]),
        mode=mode,
    )
