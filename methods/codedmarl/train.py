"""Train agents with coded learners: the controller's loop of Wang et al. 2021, algorithm 1, and the run it leaves behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from ..common.running.loop import Loop
from ..common.running.run import Run
from .agents.centralised import Trainer
from .agents.episodes import Episodes, environment_of, play
from .agents.maddpg import Computation, payload_lengths
from .agents.model import TrainedAgents
from .codes.matrices import load_matrix
from .config import TrainConfig
from .environments import Environment
from .learners.controller import Collected, Controller, Stopped, TooFewShares, nothing
from .learners.journal import RECORDS, Journal
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

    standings: Sequence[Standing] = ()
    fell_back = False

    def __init__(self, trainer: Trainer) -> None:
        self.computation, self.agents = Computation(trainer.problem), range(len(trainer.states))

    def now(self) -> float:
        """Seconds."""
        return time.perf_counter()

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
    if not resume:
        for name in RECORDS:  # of an earlier run that is overwritten
            (run.path / name).unlink(missing_ok=True)
    training = Training(config, run)
    loop = Loop(
        run, {"training": training}, steps=config.iterations, save_every=config.checkpoint_every, resume=resume, saving=training.save_agents
    )
    if config.engine == "inproc":
        return training.go_on(loop, Journal(), Alone(training.trainer), watch)
    path = run.path / "code.npz"
    code = load_matrix(path) if resume and path.is_file() else code_of(config, len(training.trainer.states))
    code.save(path, overwrite=True)
    if training.fell_back:
        code = over_reals(code)
    schedule = schedule_of(config, code.learners)
    warn_of_contention(config, code.learners)
    problem = training.trainer.problem
    lengths, names = payload_lengths(problem.specs, config), [spec.name for spec in problem.specs]
    with engine_of(config) as engine:
        try:
            engine.start(Computation(problem), code.learners)
        except BaseException:
            if not resume:
                run.discard("code.npz")
            raise
        journal = Journal(run.path, loop.position.step)
        controller = Controller(engine, code, lengths, names, config, schedule, journal, loop.interrupted)
        try:
            digest = training.go_on(loop, journal, controller, watch)
            controller.finish()
            return digest
        finally:
            journal.close()


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


class Training:
    """The iterations, and what is saved of them; a part of the loop, whose state is that of the agents, their replay and environments.

    Args:
        run: the replay is kept in files of its folder.
    """

    def __init__(self, config: TrainConfig, run: Run) -> None:
        self.config, self.run, self.trainer = config, run, Trainer(config)
        self.collected, self.fell_back = False, False
        self.best: float | None = None
        self.replay = run.path / "replay"

    def go_on(self, loop: Loop, journal: Journal, learners: Controller | Alone, watch: Callable[[Glance], None]) -> str:
        """Iterate to the end; returns the digest of all agents."""
        for iteration in loop:
            record = self.iterate(iteration, loop, learners)
            record |= self.judge(loop)
            loop.log(record)
            journal.flush()
            watch(Glance(iteration + 1, self.config.iterations, record, learners.standings))
        self.run.draw_curves()
        return self.trainer.digest()

    def iterate(self, iteration: int, loop: Loop, learners: Controller | Alone) -> dict[str, Any]:
        """One iteration; returns its record. What ends the training while learners are waited for does so once it is finished here."""
        began = learners.now()
        if not self.collected:
            self.trainer.collect(iteration)
        arrays = self.trainer.published(self.trainer.minibatch(iteration))
        self.collected = self.config.overlap and not loop.last
        ready = learners.now()
        ahead = (lambda: self.trainer.collect(iteration + 1)) if self.collected else nothing
        try:
            got = learners.iterate(iteration, arrays, ahead)
        except (TooFewShares, Stopped) as error:
            # The replay may be ahead already: the one state to go on from with the same bits is that behind this iteration.
            if isinstance(error, TooFewShares):
                loop.fail(error)
            got = Alone(self.trainer).iterate(iteration, arrays)
        back = learners.now()
        self.trainer.apply(got.vectors, iteration)
        done = learners.now()
        self.fell_back = self.fell_back or learners.fell_back
        record = {"epoch": iteration + 1, "rollout": ready - began, "broadcast": got.broadcast, "wait": got.wait}
        record |= {"decode": got.decode, "apply": done - back, "seconds": done - began}
        if got.condition > 1:
            record["condition"] = got.condition
        returned = self.trainer.rollout.ended.mean_return()
        if returned is not None:
            record["return"] = returned
            self.trainer.rollout.ended.returns.clear()
        record = {key: round(value, 6) for key, value in record.items()}
        return record | {"used": got.used, "reissued": got.reissued}

    def judge(self, loop: Loop) -> dict[str, Any]:
        """Every `evaluate_every` iterations and after the last: returns without exploration; keeps the best agents.

        Where two teams play against each other a return says nothing about progress, and the latest agents are kept.
        """
        if not loop.every(self.config.evaluate_every):
            if loop.last:
                self.agents({}, loop.number).save(self.run.best)
            return {}
        evaluation = play(self.trainer.actors, Episodes(self.environment, self.config.evaluate_episodes, self.config.seed))
        teams = evaluation.teams()
        metrics = {"evaluation": evaluation.mean}
        metrics |= {f"evaluation_{team}": estimate.mean for team, estimate in teams.items()} if len(teams) > 1 else {}
        if loop.improves(-evaluation.mean) or len(teams) > 1:
            self.best = evaluation.mean
            self.agents(metrics, loop.number).save(self.run.best)
        return {key: round(value, 6) for key, value in metrics.items()}

    @cached_property
    def environment(self) -> Environment:
        """For evaluations; the training's own stays where it is."""
        return environment_of(self.agents({}, 0), self.config.evaluate_episodes, env=self.config.env)

    def agents(self, metrics: Mapping[str, float], iteration: int) -> TrainedAgents:
        """The agents as they are after an iteration."""
        return TrainedAgents.of(self.trainer.problem, self.trainer.states, iteration=iteration, metrics=metrics)

    def save_agents(self, iteration: int) -> None:
        """Beside a saved state."""
        self.agents({} if self.best is None else {"best": self.best}, iteration).save(self.run.last)

    def state_dict(self) -> dict[str, Any]:
        """Writes the replay; what it wrote beyond the saved state is taken back when the training goes on."""
        trainer = self.trainer.state(self.replay)
        return {"collected": self.collected, "fell_back": self.fell_back, "best": self.best, "trainer": trainer}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.trainer.load(state["trainer"], self.replay)
        self.collected, self.fell_back, self.best = state["collected"], state["fell_back"], state["best"]
