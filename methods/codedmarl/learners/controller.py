"""The controller's part of an iteration: give out the work, take shares until they are enough, decode (Wang et al. 2021, algorithm 1)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...common.errors import PprError
from ..codes.code import Code
from ..config import TrainConfig
from .assignments import Work, fault_of
from .engine import NO_FAULT, Answer, Assignment, Engine, Failure, Lost, Share
from .journal import Journal
from .ledger import Ledger, Standing
from .shares import Collection, Disagreement, over_reals
from .stragglers import Faults, Schedule

log = logging.getLogger("ppr")

TICK = 0.25  # seconds between two looks at whether the training shall stop
FINISH = 1.0  # seconds that are waited after the last iteration for answers nobody needs
BEHIND = 2  # earlier iterations a learner can owe answers to before it is given no more


def nothing() -> None:
    """Do nothing."""


class TooFewShares(PprError):
    """An iteration that no living learner could complete."""

    exit_code = 3


class Stopped(KeyboardInterrupt):
    """The training was told to stop while it waited for shares."""


@dataclass(frozen=True)
class Collected:
    """What an iteration gave.

    Args:
        vectors: the updates of all agents, float32.
        broadcast, wait, decode: seconds until everything was given out, from then until enough was back, and of the decoding.
        condition: of the received rows.
        used: learners whose shares were used.
        reissued: rounds in which missing updates were given to other learners.
    """

    vectors: list[NDArray[np.float32]]
    broadcast: float
    wait: float
    decode: float
    condition: float
    used: list[int]
    reissued: int


@dataclass
class Controller:
    """Runs iterations on the learners of an engine, which has been started.

    Args:
        lengths: floats of each agent's update.
        names: of the agents.
        schedule: faults to inject; not into what is given out again.
        stop: set when the training shall end; looked at while waiting.
    """

    engine: Engine
    code: Code
    lengths: Sequence[int]
    names: Sequence[str]
    config: TrainConfig
    schedule: Schedule
    journal: Journal
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.ledger, self.fell_back = Ledger(self.code, self.journal), False
        self.journal.members(self.engine.members())

    @property
    def standings(self) -> Sequence[Standing]:
        """How the learners are doing."""
        return self.ledger.standings

    def now(self) -> float:
        """Seconds on the engine's clock, which is not the real one if it is simulated."""
        return self.engine.now()

    def iterate(self, iteration: int, arrays: Mapping[str, NDArray[Any]], meanwhile: Callable[[], object] = nothing) -> Collected:
        """One iteration: from what is published to the updates of all agents.

        Args:
            meanwhile: called when everything has been given out.

        Raises:
            TooFewShares: not even when missing updates were given to other learners `retries` times.
            PprError: a learner's computation failed.
            Stopped: `stop` was set while it waited.
        """
        self.journal.iteration = iteration
        self.iteration, self.began, self.reissued = iteration, self.engine.now(), 0
        self._begin()
        try:
            self.engine.publish(iteration, arrays)
            while earlier := self.engine.wait_any(0):
                self._take(earlier)
            self._look_after()
            self._submit(self._assignments(self.schedule.draw(iteration)))
            submitted = self.engine.now()
            meanwhile()
            self._collect()
            collected = self.engine.now()
        finally:
            self.engine.abandon(iteration)
        condition, start = self.collection.condition, self.engine.now()
        vectors = self.collection.vectors()
        decode = self.engine.now() - start
        used = sorted(self.collection.learners)
        return Collected(vectors, submitted - self.began, collected - submitted, decode, condition, used, self.reissued)

    def finish(self) -> None:
        """Hear the last answers of learners that were told to stop, so that their work is written down; of those that are quick."""
        deadline = self.engine.now() + FINISH
        while any(self.ledger.open.values()) and (left := deadline - self.engine.now()) > 0:
            self._take(self.engine.wait_any(min(TICK, left)))

    def _begin(self) -> None:
        self.collection = Collection(self.code, self.lengths, self.names, self.iteration)
        self.work = Work(self.code, self.lengths, self.iteration)
        self.pending: list[Assignment] = []
        self.hopeless = False

    def _ready(self) -> set[int]:
        """The learners of this code that can take tasks; the engine may have more."""
        return self.engine.ready() & self.ledger.open.keys()

    def _look_after(self) -> None:
        """Replace learners that owe an answer to an earlier iteration for too long, and note who is back."""
        for learner in self.ledger.open:
            waited = max((self.engine.now() - one.submitted for one in self.ledger.owes(learner, self.iteration)), default=0.0)
            if waited > self.config.timeout:
                log.warning("learner %d did not answer for %.0f seconds; it is replaced", learner, waited)
                self._lose(learner, "unresponsive")
        for learner in self._ready():
            if self.ledger.standings[learner].state == "dead":
                self.ledger.standings[learner].state = "ok"
                self.journal.event("back", learner=learner)
                self.journal.members(self.engine.members())

    def _assignments(self, faults: Faults | None) -> list[Assignment]:
        """The tasks of all learners that can take one."""
        tasks: list[Assignment] = []
        for learner in sorted(self._ready()):
            behind = len({one.assignment.iteration for one in self.ledger.owes(learner, self.iteration)})
            if behind < BEHIND:
                fault = NO_FAULT if faults is None else fault_of(faults, learner, self.config.slow_mode)
                tasks += self.work.of(learner, fault)
        return tasks

    def _submit(self, tasks: Sequence[Assignment]) -> None:
        now = self.engine.now()
        self.deadline = now + self.config.timeout
        self.patience: float | None = None
        self.pending += tasks
        self.ledger.submitted(tasks, now, self.began)
        self.engine.submit(tasks)
        self.hopeless = not self.collection.reachable(self.pending)

    def _collect(self) -> None:
        """Take answers until they are enough, and well conditioned or not getting better."""
        self.deadline = self.engine.now() + self.config.timeout
        while not self._enough():
            if self.stop.is_set():
                raise Stopped
            now = self.engine.now()
            late = now >= self.deadline and not self.collection.decodable
            if late or self.hopeless:
                self._reissue(late=late)
            until = self.deadline if self.patience is None else self.patience
            self._take(self.engine.wait_any(max(0.0, min(TICK, until - now))))
            if self.collection.disagreement is not None and self.code.field == "gf256":
                self._fall_back(self.collection.disagreement)

    def _enough(self) -> bool:
        """Whether what has arrived can be decoded, and need not or cannot be improved by waiting for another share."""
        if not self.collection.decodable:
            return False
        bound = self.config.max_cond or (1e4 if self.code.field == "real32" else 1e8)
        if self.code.field == "gf256" or not self.pending or self.collection.condition <= bound:
            return True
        now = self.engine.now()
        self.patience = now + self.config.grace if self.patience is None else self.patience
        return now >= self.patience

    def _reissue(self, *, late: bool) -> None:
        """Give the missing updates to learners that live and have nothing to do, or if there are none, to all that live.

        Raises:
            TooFewShares: that was done `retries` times before.
        """
        live = sorted(self._ready())
        if not live and not late:
            return  # those that were lost are being started
        missing = self.collection.missing
        if self.reissued >= self.config.retries:
            agents = ", ".join(self.names[agent] for agent in missing)
            raise TooFewShares(
                f"iteration {self.iteration}: {self.reissued} more rounds brought no update of {agents} ({len(live)} learners live)",
                hint="the state before it is saved: go on with --resume; a code of higher tolerance, or a longer --set timeout",
            )
        self.reissued += 1
        self.journal.event("reissue", agents=missing, learners=len(live), late=late)
        log.info("iteration %d: updates of %d agents are given to other learners", self.iteration, len(missing))
        self.deadline = self.engine.now() + self.config.timeout
        if live:
            chosen = [learner for learner in live if not self.ledger.open[learner]] or live
            self._submit([self.work.single(chosen[place % len(chosen)], agent) for place, agent in enumerate(missing)])

    def _take(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            if isinstance(answer, Lost):
                self._lose(answer.learner, answer.reason)
            elif isinstance(answer, Failure):
                self._failed(answer)
            else:
                self._judge(answer)

    def _judge(self, share: Share) -> None:
        """Take a share into the collection, and note what became of it."""
        task = share.assignment
        verdict = self.collection.accept(share)
        self.ledger.answered(share, verdict)
        # One that got lost on the way is still waited for: the controller of a real network could not know.
        if verdict != "dropped" and task in self.pending:
            self.pending.remove(task)
            if verdict != "used":
                self.hopeless = not self.collection.reachable(self.pending)
        if verdict == "corrupt":
            self.journal.event("corrupt", learner=task.learner)
            log.info("iteration %d: the share of learner %d was damaged on the way", self.iteration, task.learner)

    def _lose(self, learner: int, reason: str) -> None:
        """Count a learner's tasks as erased, and put another process in its place."""
        if learner in self.ledger.open:
            self.ledger.lost(learner, self.engine.now())
            self.journal.event("lost", learner=learner, reason=reason)
            self.pending = [task for task in self.pending if task.learner != learner]
            self.hopeless = not self.collection.reachable(self.pending)
        self.engine.respawn(learner)
        self.journal.members(self.engine.members())

    def _failed(self, failure: Failure) -> None:
        """End with the error of a computation that is still wanted.

        Raises:
            PprError: the learner's own, or one that names it.
        """
        task = failure.assignment
        self.ledger.failed(task)
        if task.iteration != self.iteration:
            return
        if isinstance(failure.error, PprError):
            raise failure.error
        raise RuntimeError(f"learner {task.learner} failed in iteration {task.iteration}:\n{failure.where}") from failure.error

    def _fall_back(self, found: Disagreement) -> None:
        """Learners differ in their last bits, which mixes up all bytes of what is decoded over GF(256): go on with real numbers."""
        first, second = found.learners
        log.warning(
            "learners %d and %d computed different updates of agent %s in iteration %d (mixed processors or versions?); "
            "from here on shares are real numbers (--field real64), and the result depends on which shares come first",
            first,
            second,
            self.names[found.agent],
            self.iteration,
        )
        self.journal.event("disagreement", agent=self.names[found.agent], learners=[first, second], field="real64")
        self.code, self.fell_back = over_reals(self.code), True
        self._begin()
        self._submit(self._assignments(None))
