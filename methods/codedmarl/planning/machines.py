"""Learners that work, wait, crash and come back, the controller's link, and the events to come, on a virtual clock."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...common.random import numpy_generator
from ..codes.code import Code
from ..learners.stragglers import Schedule, Stragglers
from .arrivals import holders

CRASHES = 104  # purpose of the random streams
READY, ARRIVED, CRASH, RESTART, TIMEOUT = range(5)
Event = tuple[float, int, int, int, int, int]  # time, number, kind, learner (or round), life, agent
Abandon = Literal["instant", "update"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """What is simulated.

    Args:
        update_time: seconds of an agent update.
        overhead: seconds between an iteration's end and the start of the next one's learners: rollout, broadcast, decoding.
        transfer: seconds that a share takes of the controller's link (its bytes over the link's rate).
        abandon: when a learner that is told to stop is free again: at once, as in the formulas of `plan`, or with the end of the agent
            update that it is at, as real learners are; the next iteration then begins later for it.
        crash_after, restart_after: mean seconds (exponential) until a learner that runs crashes, and until one that crashed is back.
        timeout: seconds from the start of an iteration, and then from round to round, after which missing agents are given out again.
        rounds: of these before an iteration is given up.
    """

    iterations: int
    stragglers: Stragglers
    update_time: float
    overhead: float = 0.0
    transfer: float = 0.0
    abandon: Abandon = "instant"
    crash_after: float = math.inf
    restart_after: float = 2.0
    timeout: float = 30.0
    rounds: int = 3
    seed: int = 0


class Machines:
    """Learners, the controller's link and the events to come."""

    def __init__(self, code: Code, setting: Setting) -> None:
        self.code, self.setting = code, setting
        self.schedule: Schedule = setting.stragglers.schedule(code.learners, setting.seed)
        self.random = numpy_generator(setting.seed, 0, 0, CRASHES)
        self.now = self.link_free = 0.0
        self.up = np.ones(code.learners, bool)
        self.free = np.zeros(code.learners)  # when a learner can begin anew
        self.lives = np.zeros(code.learners, np.int64)  # what a learner did before its last crash does not count
        self.events: list[Event] = []
        self.number = 0
        self.sender = holders(code) if code.separate else np.flatnonzero(code.weights)
        self.agent = code.entries.indices if code.separate else np.full(len(self.sender), -1)
        for learner in range(code.learners):
            self._await_crash(learner)

    def push(self, time: float, kind: int, who: int, agent: int = -1) -> None:
        """An event of a learner; of TIMEOUT, `who` is the number of the round."""
        self.number += 1
        life = 0 if kind == TIMEOUT else int(self.lives[who])
        heapq.heappush(self.events, (time, self.number, kind, who, life, agent))

    def push_shares(self, times: Floats, which: NDArray[np.int64]) -> None:
        """READY events of these shares, at once."""
        count, senders = len(which), self.sender[which]
        numbers = range(self.number + 1, self.number + 1 + count)
        self.number += count
        columns = times.tolist(), numbers, [READY] * count, senders.tolist(), self.lives[senders].tolist(), self.agent[which].tolist()
        self.events += zip(*columns, strict=True)
        heapq.heapify(self.events)

    def forget_round(self) -> None:
        """Drop what belongs to an iteration that has ended; crashes and restarts go on."""
        self.events = [event for event in self.events if event[2] in (CRASH, RESTART)]
        heapq.heapify(self.events)
        self.link_free = min(self.link_free, self.now)  # what waits for the link is not sent any more

    def crash(self, learner: int) -> None:
        """A learner goes down, and comes back later."""
        self.up[learner] = False
        self.lives[learner] += 1
        self.push(self.now + self.random.exponential(self.setting.restart_after), RESTART, learner)

    def restart(self, learner: int) -> None:
        """A learner is back, for the work that is handed out from now on."""
        self.up[learner] = True
        self.free[learner] = self.now
        self._await_crash(learner)

    def _await_crash(self, learner: int) -> None:
        if math.isfinite(self.setting.crash_after):
            self.push(self.now + self.random.exponential(self.setting.crash_after), CRASH, learner)

    def wait(self, until: float) -> None:
        """Let time pass without work."""
        while self.events and self.events[0][0] <= until:
            self.now, _number, kind, learner, life, _agent = heapq.heappop(self.events)
            if kind == RESTART:
                self.restart(learner)
            elif life == self.lives[learner]:
                self.crash(learner)
        self.now = until
