"""Train agents with coded learners: the controller's loop of Wang et al. 2021, algorithm 1, and the run it leaves behind."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from ..common.errors import UsageError
from ..common.running.interrupts import interruptible
from ..common.running.run import Run
from .agents.centralised import Trainer
from .agents.episodes import Episodes, environment_of, play
from .agents.maddpg import Computation, payload_lengths
from .agents.model import TrainedAgents
from .codes.matrices import load_matrix
from .config import TrainConfig
from .environments import Environment
from .learners.controller import Collected, Controller, Stopped, TooFewShares, nothing
from .learners.journal import RECORDS, Journal, running
from .learners.ledger import Standing
from .learners.shares import over_reals
from .setup import code_of, engine_of, schedule_of, warn_of_contention


@dataclass(frozen=True)
class Glance:
    """A training after an iteration: its record in metrics.jsonl, and how the learners are doing (none: they are not used)."""

    iteration: int
    iterations: int
    record: Mapping[str, Any]
    standings: Sequence[Standing]


def unwatched(_glance: Glance) -> None:
    """Look at nothing."""


class Alone:
    """The engine `inproc`: every update is computed here, one agent after the other."""

    def __init__(self, trainer: Trainer) -> None:
        self.stop = threading.Event()
        self.computation, self.agents = Computation(trainer.problem), range(len(trainer.states))

    def iterate(self, iteration: int, arrays: Mapping[str, NDArray[Any]], meanwhile: Callable[[], object] = nothing) -> Collected:
        started = time.perf_counter()
        meanwhile()
        vectors = [self.computation(arrays, iteration, agent) for agent in self.agents]
        return Collected(vectors, 0.0, time.perf_counter() - started, 0.0, 1.0, [], 0)


def train(config: TrainConfig, run: Run, *, resume: bool = False, watch: Callable[[Glance], None] = unwatched) -> str:
    """Train, or go on; returns the SHA-256 of all agents' parameters and optimiser states.

    Args:
        run: gets a record an iteration, code.npz, shares.csv, events.jsonl, checkpoints, and the state to go on from.

    Raises:
        UsageError, PprError: something that cannot be trained so; gradients that are not finite; learners that cannot be started.
        TooFewShares: an iteration could not be completed; the state is saved.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, once the state has been saved.
    """
    refuse_second(run)
    if not resume:
        for name in RECORDS:  # of an earlier run that is overwritten
            (run.path / name).unlink(missing_ok=True)
    trainer = Trainer(config)
    if config.engine == "inproc":
        return Training(config, run, trainer, Journal(), Alone(trainer), resume=resume).go_on(watch)
    path = run.path / "code.npz"
    code = load_matrix(path) if resume and path.is_file() else code_of(config, len(trainer.states))
    code.save(path, overwrite=True)
    if resume and run.load_state()["field"] != code.field:
        code = over_reals(code)
    schedule = schedule_of(config, code.learners)
    warn_of_contention(config, code.learners)
    lengths, names = payload_lengths(trainer.problem.specs, config), [spec.name for spec in trainer.problem.specs]
    with engine_of(config) as engine:
        try:
            engine.start(Computation(trainer.problem), code.learners)
        except BaseException:
            if not resume:
                discard(run)
            raise
        journal = Journal(run.path, run.load_state()["iteration"] if resume else 0)
        controller = Controller(engine, code, lengths, names, config, schedule, journal)
        try:
            digest = Training(config, run, trainer, journal, controller, resume=resume).go_on(watch)
            controller.finish()
            return digest
        finally:
            journal.close()


def discard(run: Run) -> None:
    """Remove what a run that could not begin has written, so that its folder can be used for another attempt."""
    for name in ("config.yaml", "code.npz"):
        (run.path / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # somebody else's files are in it
        run.path.rmdir()


def check(config: TrainConfig) -> None:
    """Find what cannot be trained before there is a run.

    Raises:
        UsageError, PprError: as `train`.
    """
    trainer = Trainer(config)
    if config.engine != "inproc":
        code = code_of(config, len(trainer.states))
        schedule_of(config, code.learners)
        engine_of(config).close()


def refuse_second(run: Run) -> None:
    """
    Raises:
        UsageError: a process of this machine is training in the run's folder.
    """
    pid = running(run.path)
    if pid is not None:
        raise UsageError(f"{run.path}: is being trained by process {pid}", hint="wait for it, end it, or give another folder")


class Training:
    """The loop over iterations, and what is saved of it."""

    def __init__(
        self,
        config: TrainConfig,
        run: Run,
        trainer: Trainer,
        journal: Journal,
        learners: Controller | Alone,
        *,
        resume: bool,
    ) -> None:
        self.config, self.run, self.trainer, self.journal, self.learners = config, run, trainer, journal, learners
        self.iteration, self.collected = 0, False
        self.best: float | None = None
        self.failure: TooFewShares | KeyboardInterrupt | None = None
        self.replay = run.path / "replay"
        if resume:
            state = run.load_state()
            trainer.load(state["trainer"], self.replay)
            self.iteration, self.collected, self.best = state["iteration"], state["collected"], state["best"]
        run.truncate_history(self.iteration)

    def go_on(self, watch: Callable[[Glance], None]) -> str:
        """Iterate to the end; returns the digest of all agents."""
        with interruptible((signal.SIGINT, signal.SIGTERM)) as stop:
            self.learners.stop = stop
            while self.iteration < self.config.iterations:
                record = self.iterate()
                self.iteration += 1
                record |= self.judge()
                self.run.log(record)
                self.journal.flush()
                watch(Glance(self.iteration, self.config.iterations, record, self.standings))
                done = self.iteration == self.config.iterations
                if stop.is_set() and self.failure is None:
                    self.failure = KeyboardInterrupt()
                if done or self.failure is not None or self.iteration % self.config.checkpoint_every == 0:
                    self.save()
                if self.failure is not None and not done:
                    raise self.failure
        self.run.draw_curves()
        return self.trainer.digest()

    @property
    def standings(self) -> Sequence[Standing]:
        return self.learners.ledger.standings if isinstance(self.learners, Controller) else ()

    def iterate(self) -> dict[str, Any]:
        """One iteration; returns its record. What ends it while learners are waited for is kept in `failure`, and it is finished here."""
        began = self.now()
        if not self.collected:
            self.trainer.collect(self.iteration)
        arrays = self.trainer.published(self.trainer.minibatch(self.iteration))
        self.collected = self.config.overlap and self.iteration + 1 < self.config.iterations
        ready = self.now()
        ahead = (lambda: self.trainer.collect(self.iteration + 1)) if self.collected else nothing
        try:
            got = self.learners.iterate(self.iteration, arrays, ahead)
        except (TooFewShares, Stopped) as error:
            # The replay may be ahead already: the one state to go on from with the same bits is that behind this iteration.
            self.failure = error
            got = Alone(self.trainer).iterate(self.iteration, arrays)
        back = self.now()
        self.trainer.apply(got.vectors, self.iteration)
        done = self.now()
        record = {"epoch": self.iteration + 1, "rollout": ready - began, "broadcast": got.broadcast, "wait": got.wait}
        record |= {"decode": got.decode, "apply": done - back, "seconds": done - began}
        if got.condition > 1:
            record["condition"] = got.condition
        returned = self.trainer.rollout.ended.mean_return()
        if returned is not None:
            record["return"] = returned
            self.trainer.rollout.ended.returns.clear()
        record = {key: round(value, 6) for key, value in record.items()}
        return record | {"used": got.used, "reissued": got.reissued}

    def now(self) -> float:
        """Seconds on the engine's clock, which is not the real one if it is simulated."""
        return self.learners.engine.now() if isinstance(self.learners, Controller) else time.perf_counter()

    def judge(self) -> dict[str, Any]:
        """Every `evaluate_every` iterations and after the last: returns without exploration; keeps the best agents.

        Where two teams play against each other a return says nothing about progress, and the latest agents are kept.
        """
        every, last = self.config.evaluate_every, self.iteration == self.config.iterations
        if not every or (self.iteration % every and not last):
            if last and not every:
                self.agents({}).save(self.run.best)
            return {}
        evaluation = play(self.trainer.actors, Episodes(self.environment, self.config.evaluate_episodes, self.config.seed))
        teams = evaluation.teams()
        metrics = {"evaluation": evaluation.mean}
        metrics |= {f"evaluation_{team}": estimate.mean for team, estimate in teams.items()} if len(teams) > 1 else {}
        if self.best is None or evaluation.mean > self.best or len(teams) > 1:
            self.best = evaluation.mean
            self.agents(metrics).save(self.run.best)
        return {key: round(value, 6) for key, value in metrics.items()}

    @cached_property
    def environment(self) -> Environment:
        """For evaluations; the training's own stays where it is."""
        return environment_of(self.agents({}), self.config.evaluate_episodes, env=self.config.env)

    def agents(self, metrics: Mapping[str, float]) -> TrainedAgents:
        return TrainedAgents.of(self.trainer.problem, self.trainer.states, iteration=self.iteration, metrics=metrics)

    def save(self) -> None:
        """The state to go on from, and the agents as they are."""
        # Replay first: what it wrote beyond the saved state is taken back when the training goes on.
        trainer = self.trainer.state(self.replay)
        field = self.learners.code.field if isinstance(self.learners, Controller) else self.config.field
        state = {"iteration": self.iteration, "collected": self.collected, "best": self.best, "field": field, "trainer": trainer}
        self.run.save_state(state)
        self.agents({} if self.best is None else {"best": self.best}).save(self.run.last)
