"""What each learner owes and how it is doing, and the rows of shares.csv that follow from its answers."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..codes.code import Code
from .engine import Assignment, Share
from .journal import Journal, Row
from .shares import Verdict

SLOW = 1.5  # times the median seconds an update from which a learner is called straggling


@dataclass
class Standing:
    """How a learner is doing.

    Args:
        weight: agents it updates.
        seconds: of its last complete share.
        pace: seconds an update of its last answer, delays included.
    """

    learner: int
    weight: int
    state: Literal["ok", "straggling", "dead"] = "ok"
    seconds: float | None = None
    pace: float | None = None


@dataclass(frozen=True)
class Open:
    """A task that has not been answered; times are the controller's."""

    assignment: Assignment
    submitted: float
    began: float


class Ledger:
    """Open tasks and standings of the learners of a code."""

    def __init__(self, code: Code, journal: Journal) -> None:
        self.journal = journal
        self.open: dict[int, list[Open]] = {learner: [] for learner in range(code.learners)}
        self.standings = [Standing(learner, int(weight)) for learner, weight in enumerate(code.weights)]

    def submitted(self, tasks: Sequence[Assignment], now: float, began: float) -> None:
        for task in tasks:
            self.open[task.learner].append(Open(task, now, began))

    def owes(self, learner: int, before: int) -> list[Open]:
        """Its open tasks of iterations before one."""
        return [one for one in self.open[learner] if one.assignment.iteration < before]

    def answered(self, share: Share, verdict: Verdict) -> None:
        """Close the task of a share; what was answered before, or comes from a process that has been replaced, is passed over."""
        task = share.assignment
        owed = self.open[task.learner]
        found = next((one for one in owed if one.assignment.key == task.key), None)
        if found is None:
            return
        owed.remove(found)
        seconds = share.done - share.started if share.updates == len(task.agents) else None
        self._stand(share, seconds)
        self.journal.row(
            Row(
                task.iteration,
                task.learner,
                task.agents[0] if task.plain else -1,
                len(task.agents),
                share.updates,
                task.fault.delay,
                found.submitted - found.began,
                share.received - found.began,
                share.first_update - share.started if share.updates else None,
                seconds,
                share.bytes,
                share.host,
                share.pid,
                verdict,
            )
        )

    def _stand(self, share: Share, seconds: float | None) -> None:
        standing = self.standings[share.assignment.learner]
        standing.seconds = standing.seconds if seconds is None else seconds
        if share.updates:
            # A learner that is told to stop finishes its update: without delays the seconds go evenly with the updates.
            standing.pace = (share.done - share.started) / share.updates
            usual = statistics.median(one.pace for one in self.standings if one.pace is not None)
            standing.state = "straggling" if standing.pace > SLOW * usual else "ok"

    def failed(self, task: Assignment) -> None:
        """Close a task whose computation raised."""
        self.open[task.learner] = [one for one in self.open[task.learner] if one.assignment.key != task.key]

    def lost(self, learner: int, now: float) -> None:
        """Close all tasks of a learner that is gone."""
        for one in self.open[learner]:
            task = one.assignment
            times = one.submitted - one.began, now - one.began
            agent = task.agents[0] if task.plain else -1
            self.journal.row(
                Row(task.iteration, learner, agent, len(task.agents), 0, task.fault.delay, *times, None, None, 0, "", None, "lost")
            )
        self.open[learner] = []
        self.standings[learner].state = "dead"
