"""Learners on a virtual clock: every update is really computed, in this process, and arrives when it would have."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engine import Answer, Assignment, Computation, Engine, Failure, Lost, Member, Share
from .work import HOST, one_thread, work


@dataclass
class Task:
    """An assignment at its learner, on the virtual clock: when each update begins and is done, and when the answer arrives."""

    assignment: Assignment
    begins: list[float]
    ends: list[float]
    at: float
    abandoned: bool = False

    @property
    def killed(self) -> bool:
        return self.assignment.fault.kill and not self.abandoned


@dataclass
class Learner:
    """A simulated learner: when it is done with what it was given, and when it is up."""

    free: float = 0.0
    up: float = 0.0


class SimEngine(Engine):
    """As many learners as wanted, each with a core of its own that only exists in the arithmetic.

    The clock runs with the real one while the controller works, stands still while updates are computed, and jumps to the next
    arrival when the controller waits.

    Args:
        update_time: seconds of an update; None takes what the agent's update takes here.
        restart: seconds until a lost learner is back.
    """

    name = "sim"

    def __init__(self, update_time: float | None = None, restart: float = 0.05) -> None:
        self.update_time, self.restart = update_time, restart
        self.shift = 0.0
        self.tasks: list[Task] = []
        self.failures: list[Answer] = []

    def now(self) -> float:
        return time.perf_counter() + self.shift

    def start(self, computation: Computation, learners: int) -> None:
        one_thread()
        self.computation = computation
        self.learners = [Learner() for _ in range(learners)]

    def publish(self, iteration: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.arrays, self.iteration = arrays, iteration
        self.updates: dict[int, tuple[NDArray[np.float32], float]] = {}

    def submit(self, assignments: Sequence[Assignment]) -> None:
        for assignment in assignments:
            try:
                seconds = [self._update(agent)[1] for agent in assignment.agents]
            except Exception as error:
                self.failures.append(Failure(assignment, error, traceback.format_exc()))
                continue
            learner, fault = self.learners[assignment.learner], assignment.fault
            begins, ends, free = [], [], max(self.now(), learner.free)
            for taken in seconds:
                begins.append(free)
                ends.append(free + taken)
                free = ends[-1] + (fault.delay if fault.each else 0.0)
            learner.free = ends[(len(ends) - 1) // 2] if fault.kill else ends[-1] + fault.delay
            self.tasks.append(Task(assignment, begins, ends, learner.free))

    def _update(self, agent: int) -> tuple[NDArray[np.float32], float]:
        """The agent's update of this iteration and the seconds it takes, computed once, with the clock standing still."""
        if agent not in self.updates:
            began = time.perf_counter()
            update = self.computation(self.arrays, self.iteration, agent)
            taken = time.perf_counter() - began
            self.shift -= taken
            self.updates[agent] = update, taken if self.update_time is None else self.update_time
        return self.updates[agent]

    def wait_any(self, timeout: float) -> list[Answer]:
        if self.failures:
            return [self.failures.pop()]
        deadline = self.now() + timeout
        task = min(self.tasks, key=lambda task: task.at, default=None)
        self.shift += max(0.0, (deadline if task is None else min(task.at, deadline)) - self.now())
        if task is None or task.at > deadline:
            return []
        self.tasks.remove(task)
        if task.killed:
            self._down(task.assignment.learner)
            return [Lost(task.assignment.learner, "its process ended (SIGKILL)")]
        return [self._share(task)]

    def _share(self, task: Task) -> Share | Failure:
        """What the learner answers, with the times of the virtual clock."""
        done = task.assignment.agents[: sum(end <= task.at for end in task.ends)]
        started = min(task.begins[0], task.at)
        first = task.ends[0] if done else started
        if task.abandoned or task.assignment.iteration != self.iteration:
            # Nobody looks at what it computed any more, only at how much.
            digests = dict.fromkeys(done, b"")
            return Share(task.assignment, "abandoned", None, digests, 0, started, first, task.at, HOST, os.getpid(), task.at)
        quick = replace(task.assignment, fault=replace(task.assignment.fault, delay=0.0))
        began = time.perf_counter()
        share = work(lambda _arrays, _iteration, agent: self._update(agent)[0], self.arrays, quick, lambda: False)
        self.shift -= time.perf_counter() - began
        if isinstance(share, Share):
            share.assignment, share.received = task.assignment, task.at
            share.started, share.first_update, share.done = started, first, task.at
        return share

    def abandon(self, iteration: int) -> None:
        now = self.now()
        for task in self.tasks:
            if task.assignment.iteration == iteration and not task.abandoned and task.at > now:
                busy = (end for begin, end in zip(task.begins, task.ends, strict=True) if begin < now <= end)
                task.at = next(busy, now)
                task.abandoned = True
        for number, learner in enumerate(self.learners):
            learner.free = max((task.at for task in self.tasks if task.assignment.learner == number), default=now)

    def respawn(self, learner: int) -> None:
        self._down(learner)

    def _down(self, learner: int) -> None:
        self.tasks = [task for task in self.tasks if task.assignment.learner != learner]
        self.learners[learner] = Learner(up=self.now() + self.restart)

    def ready(self) -> set[int]:
        now = self.now()
        return {number for number, learner in enumerate(self.learners) if learner.up <= now}

    def members(self) -> list[Member]:
        ready = self.ready()
        return [Member(number, os.getpid(), HOST, number in ready) for number in range(len(self.learners))]

    def close(self) -> None:
        self.tasks = []
