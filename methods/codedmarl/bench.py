"""Measured iterations of several codes under stragglers, beside what the planner says of them."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..common.errors import UsageError
from ..common.reading.files import atomic_open, csv_text
from .agents.centralised import Trainer
from .agents.maddpg import Computation, payload_lengths
from .codes.code import Code
from .codes.construction import build
from .config import Family, TrainConfig
from .learners.controller import Controller
from .learners.engine import Engine
from .learners.journal import Journal, Row
from .learners.stragglers import Stragglers
from .planning.arrivals import KnownSets
from .planning.waits import Situation, estimate, mean_wait
from .setup import engine_of

log = logging.getLogger("ppr")

WARM = 1  # iterations that come before and are not measured


@dataclass(frozen=True)
class Measured:
    """A code with so many stragglers.

    Args:
        median, mean, p95: seconds of an iteration.
        wait: of these, the median seconds between giving out work and having enough shares.
        update_time: t_u, median seconds of an update, on learners that share the cores as they do here.
        overhead: t_0, median seconds of everything else than waiting.
        planned: what `plan` says of an iteration, from these two.
        planned_draws: the same for the very stragglers that were drawn; its mean is to be compared with `mean`.
    """

    code: str
    stragglers: int
    delay: float
    learners: int
    agents: int
    max_row: int
    tolerance: int | None
    iterations: int
    median: float
    mean: float
    p95: float
    wait: float
    update_time: float
    overhead: float
    planned: float
    planned_draws: float

    @property
    def off(self) -> float:
        """The measured mean over the planned one, minus 1."""
        return self.mean / self.planned_draws - 1


def bench(
    config: TrainConfig, families: Sequence[Family], stragglers: Sequence[int], advance: Callable[[], object] = lambda: None
) -> list[Measured]:
    """Measure `config.iterations` iterations of every code with every number of stragglers, all on the same learners.

    Args:
        config: its code and number of stragglers are not looked at; its tolerance is for balanced and multi.
        advance: called after each iteration.

    Raises:
        UsageError: as many stragglers as learners; no code that can be made.
        PprError: learners that cannot be started.
    """
    if max(stragglers, default=0) >= config.learners:
        raise UsageError(f"{max(stragglers)} stragglers of {config.learners} learners: somebody has to be on time", hint="fewer of them")
    trainer = Trainer(config)
    codes = codes_of(config, families, len(trainer.states))
    if not codes:
        raise UsageError("no code that can be made", hint="other numbers of learners and agents")
    found = []
    with engine_of(config) as engine:
        engine.start(Computation(trainer.problem), max(code.learners for code in codes.values()))
        trainer.collect(0)
        for count in stragglers:
            kind = Stragglers("fixed" if count else "none", count, config.delay if count else 0.0)
            found += [measure(Bench(config, trainer, engine), name, code, kind, advance) for name, code in codes.items()]
    return found


def codes_of(config: TrainConfig, families: Sequence[Family], agents: int) -> dict[str, Code]:
    """The codes by name; what cannot be made for these numbers is said in the log."""
    found: dict[str, Code] = {}
    for family in families:
        tolerance = config.tolerance if family in ("balanced", "multi") else None
        try:
            found[family] = build(family, config.learners, agents, tolerance=tolerance, field=config.field, seed=config.seed)
        except UsageError as error:
            log.warning("%s is left out: %s", family, error.message)
    return found


@dataclass(frozen=True)
class Bench:
    """What the measurements have in common."""

    config: TrainConfig
    trainer: Trainer
    engine: Engine


def measure(at: Bench, name: str, code: Code, kind: Stragglers, advance: Callable[[], object]) -> Measured:
    """One code with one kind of stragglers."""
    config, trainer, engine = at.config, at.trainer, at.engine
    lengths, names = payload_lengths(trainer.problem.specs, config), [spec.name for spec in trainer.problem.specs]
    schedule, journal = kind.schedule(code.learners, config.seed), Journal()
    controller = Controller(engine, code, lengths, names, config, schedule, journal)
    first = trainer.states[0].steps
    seconds, waits, late = [], [], []
    for number in range(WARM + config.iterations):
        iteration, began = first + number, engine.now()
        trainer.collect(iteration + 1)
        got = controller.iterate(iteration, trainer.published(trainer.minibatch(iteration)))
        trainer.apply(got.vectors, iteration)
        seconds.append(engine.now() - began)
        waits.append(got.wait)
        late.append(schedule.draw(iteration).delays > 0)
        advance()
    times, waited, drawn = np.array(seconds[WARM:]), np.array(waits[WARM:]), np.array(late[WARM:])
    controller.finish()
    update_time = update_seconds(journal.flush())
    overhead = float(np.median(times - waited))
    situation = Situation(kind, update_time)
    return Measured(
        code=name,
        stragglers=kind.stragglers,
        delay=kind.delay,
        learners=code.learners,
        agents=code.agents,
        max_row=code.max_weight,
        tolerance=code.tolerance,
        iterations=config.iterations,
        median=float(np.median(times)),
        mean=float(times.mean()),
        p95=float(np.percentile(times, 95)),
        wait=float(np.median(waited)),
        update_time=update_time,
        overhead=overhead,
        planned=estimate(code, situation).mean + overhead,
        planned_draws=mean_wait(KnownSets(code), situation, drawn) + overhead,
    )


def update_seconds(rows: Sequence[Row]) -> float:
    """Median seconds of an update over complete shares, injected delays taken off."""
    served = [row for row in rows if row.seconds is not None and row.outcome in ("used", "late")]
    return statistics.median((row.seconds - row.delay) / row.weight for row in served if row.seconds is not None)


@dataclass(frozen=True)
class Profile:
    """What `plan` wants to know: seconds of an agent's update on a core of its own, of everything else, and the bytes of a share."""

    update_time: float
    overhead: float
    payload: int


def profile(config: TrainConfig) -> Profile:
    """Measure it in this process: `config.iterations` iterations without learners.

    The overhead is that of rollout, minibatch and Adam; broadcast and decoding come on top with learners.
    """
    trainer = Trainer(config)
    compute, agents = Computation(trainer.problem), range(len(trainer.states))
    updates, rest = [], []
    for iteration in range(WARM + config.iterations):
        began = time.perf_counter()
        trainer.collect(iteration)
        arrays = trainer.published(trainer.minibatch(iteration))
        ready = time.perf_counter()
        vectors = [compute(arrays, iteration, agent) for agent in agents]
        done = time.perf_counter()
        trainer.apply(vectors, iteration)
        updates.append((done - ready) / len(agents))
        rest.append(time.perf_counter() - done + ready - began)
    return Profile(statistics.median(updates[WARM:]), statistics.median(rest[WARM:]), 4 * max(map(len, vectors)))


def write_csv(found: Sequence[Measured], path: Path, *, overwrite: bool = False) -> None:
    """A row a measurement."""
    rows = [{key: round(value, 6) if isinstance(value, float) else value for key, value in asdict(one).items()} for one in found]
    with atomic_open(path, overwrite=overwrite) as stream:
        stream.write(csv_text(rows, list(rows[0])).encode())
