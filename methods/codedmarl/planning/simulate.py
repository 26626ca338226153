"""Iterations of coded learners on a virtual clock, without learning: queues, crashes, and a controller with a link of its own.

An iteration begins `overhead` seconds after the last one ended: the controller hands out the work, learners update one agent after the
other, and their shares go through the controller's link one at a time. When the shares that arrived are decodable, all learners are told
to stop. An iteration that is not decodable by the timeout gives the missing agents to learners that are alive, and is given up after
some rounds of that, so that no fault can hang it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..codes.code import Code
from ..codes.tracker import Tracker
from ..learners.stragglers import Faults
from .arrivals import Pace, ready_times
from .machines import ARRIVED, CRASH, READY, RESTART, TIMEOUT, Machines, Setting

ROUNDING = 1e-9  # of an update

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Iteration:
    """What happened in an iteration.

    Args:
        start: virtual seconds at which the last one had ended.
        seconds: from there to its end, overhead included.
        down: learners that were down when it began.
        late: learners that were still busy with the last iteration when it began.
        arrived: shares that had arrived undamaged at its end.
        computed: agent updates that were finished in it.
        used: of these, in shares that decoding used.
        reissued: updates that were given out again.
        link: seconds that the controller's link was busy.
        decoded: whether it ended with all updates; otherwise it was given up.
    """

    iteration: int
    start: float
    seconds: float
    down: int
    late: int
    arrived: int
    computed: int
    used: int
    reissued: int
    link: float
    decoded: bool


def simulate(code: Code, setting: Setting, advance: Callable[[], object] = lambda: None) -> list[Iteration]:
    """Run so many iterations.

    Args:
        advance: called after each.
    """
    machines, found = Machines(code, setting), []
    for iteration in range(setting.iterations):
        began = machines.now
        machines.wait(began + setting.overhead)
        found.append(_Round(machines, iteration).run(began))
        advance()
    return found


class _Round:
    """One iteration, from handing out the work to its end."""

    def __init__(self, machines: Machines, iteration: int) -> None:
        self.machines, self.iteration = machines, iteration
        self.code, self.setting = machines.code, machines.setting
        self.begin = machines.now
        self.faults: Faults = machines.schedule.draw(iteration)
        self.tracker = Tracker(self.code)
        self.at_work = machines.up & (self.code.weights > 0)
        self.start = np.maximum(self.begin, machines.free)
        self.down = int((~machines.up).sum())
        self.late = int((self.start[self.at_work] > self.begin).sum())
        self.each = np.full(self.code.learners, self.setting.update_time)  # seconds from one update of a learner to its next
        if self.faults.per_update:
            self.each += self.faults.delays
        self.stopped = np.full(self.code.learners, np.inf)  # when a learner crashed
        self.answered = np.zeros(self.code.learners, bool)
        self.covered = np.zeros(self.code.agents, bool)
        self.again: dict[int, list[float]] = {}  # of a learner, when its updates that were given out again end
        self.again_received: set[int] = set()
        self.arrived = self.used = self.reissued = self.transfers = 0

    def run(self, began: float) -> Iteration:
        machines = self.machines
        self._hand_out()
        decoded = False
        while not decoded:
            machines.now, _number, kind, who, life, agent = heapq.heappop(machines.events)
            if kind == TIMEOUT:
                if who == self.setting.rounds:
                    break
                self._give_out_again()
                machines.push(machines.now + self.setting.timeout, TIMEOUT, who + 1)
            elif kind == RESTART:
                machines.restart(who)
            elif kind == ARRIVED:
                decoded = self._receive(who, agent)
            elif life != machines.lives[who]:
                continue
            elif kind == CRASH:
                self.stopped[who] = min(self.stopped[who], machines.now)
                machines.crash(who)
            else:
                decoded = self._send(who, agent)
        computed = self._stop()
        return Iteration(
            iteration=self.iteration,
            start=began,
            seconds=machines.now - began,
            down=self.down,
            late=self.late,
            arrived=self.arrived,
            computed=computed,
            used=self.used,
            reissued=self.reissued,
            link=self.transfers * self.setting.transfer,
            decoded=decoded,
        )

    def _hand_out(self) -> None:
        machines = self.machines
        ready = ready_times(self.code, self.faults.delays, Pace(self.setting.update_time), per_update=self.faults.per_update)
        ready = ready if self.code.separate else ready[machines.sender]
        which = np.flatnonzero(self.at_work[machines.sender])
        machines.push_shares(self.start[machines.sender[which]] + ready[which], which)
        for learner in np.flatnonzero(self.faults.killed & self.at_work).tolist():
            halfway = self.start[learner] + self.code.weights[learner] * self.each[learner] / 2
            machines.push(halfway, CRASH, learner)
        machines.push(self.begin + self.setting.timeout, TIMEOUT, 0)

    def _send(self, learner: int, agent: int) -> bool:
        """A share is ready, and takes its turn at the controller's link."""
        machines = self.machines
        if self.faults.dropped[learner]:
            return False
        if not self.setting.transfer:
            return self._receive(learner, agent)
        machines.link_free = max(machines.now, machines.link_free) + self.setting.transfer
        machines.push(machines.link_free, ARRIVED, learner, agent)
        return False

    def _receive(self, learner: int, agent: int) -> bool:
        """A share is there; whether that was enough."""
        self.transfers += 1
        if self.faults.corrupted[learner]:
            return False
        self.arrived += 1
        self.answered[learner] = True
        if agent >= 0 and not self.code.separate:
            self.again_received.add(agent)
            self.used += 1
        elif self.code.separate or self.code.max_weight == 1:
            held = [agent] if self.code.separate else list(self.code.row(learner)[0])
            self.used += int((~self.covered[held]).sum())
            self.covered[held] = True
            self.tracker.add(learner, agent if self.code.separate else None)
        elif self.tracker.add(learner):
            self.used += int(self.code.weights[learner])
        return self.tracker.decodable or (bool(self.again_received) and self.tracker.missing <= self.again_received)

    def _give_out_again(self) -> None:
        """Missing agents go to learners that are up, first to those that have answered and are free soonest."""
        machines = self.machines
        missing = sorted(self.tracker.missing - self.again_received)
        free = np.where(np.isfinite(self.stopped) | ~self.at_work, machines.free, self._own_end())
        for learner, ends in self.again.items():
            free[learner] = max(free[learner], ends[-1])
        live = np.flatnonzero(machines.up)
        order = live[np.lexsort((live, np.maximum(free[live], machines.now), ~self.answered[live]))][: len(missing)].tolist()
        for place, agent in enumerate(missing if order else []):
            learner = order[place % len(order)]
            end = max(free[learner], machines.now) + self.each[learner]
            free[learner] = end
            self.again.setdefault(learner, []).append(end)
            machines.push(end, READY, learner, agent)
            self.reissued += 1

    def _own_end(self) -> Floats:
        """When each learner has done what it was first given, its delay included."""
        return self.start + self.code.weights * self.each + (0.0 if self.faults.per_update else self.faults.delays)

    def _stop(self) -> int:
        """Tell all learners to stop; how many updates they finished in this iteration."""
        machines, update = self.machines, self.setting.update_time
        now, weights = machines.now, np.where(self.at_work, self.code.weights, 0)
        end = np.minimum(now, self.stopped)
        with np.errstate(divide="ignore", invalid="ignore"):
            done = np.floor((end - self.start - update) / self.each + 1 + ROUNDING)
        done = np.where(self.each > 0, done, np.where(end >= self.start, weights, 0)).clip(0, weights)
        again = sum(end <= now for ends in self.again.values() for end in ends)
        if self.setting.abandon == "update":
            begun = self.start + done * self.each
            busy = (done < weights) & (begun < now - ROUNDING * update) & (now < begun + update) & ~np.isfinite(self.stopped)
            machines.free[busy] = (begun + update)[busy]
            done[busy] += 1
            for learner, ends in self.again.items():
                at = [end for end in ends if end - self.each[learner] < now < end]
                if at and machines.up[learner]:
                    machines.free[learner] = max(machines.free[learner], at[0])
        machines.forget_round()
        return int(done.sum()) + again
