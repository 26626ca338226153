"""Which learners are slow or lost in an iteration: models of stragglers, and measured or made-up traces.

Every iteration has random numbers of its own, so that a resumed training, another code or another order of work meets the same faults.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...common.errors import UsageError
from ...common.random import numpy_generator
from ..config import StragglerModel
from .traces import MAX_DELAY, Trace, load_trace

DELAYS, KILLS = 100, 101  # purposes of the random streams

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Faults:
    """What happens to the N learners in one iteration.

    Args:
        delays: float64 [N], seconds. They are waits, which a learner that is no longer needed gives up at once.
        killed: bool [N], learners whose process dies in the iteration.
        corrupted: bool [N], learners whose shares arrive damaged.
        dropped: bool [N], learners whose shares get lost on the way.
        per_update: whether a learner waits `delays` after each of its updates (a slow machine); otherwise it does once, after its
            computation and before its (last) share leaves, as the stragglers of Wang et al. 2021 do.
    """

    delays: Floats
    killed: Mask
    corrupted: Mask
    dropped: Mask
    per_update: bool = False

    @property
    def lost(self) -> Mask:
        """Learners nothing usable comes from, [N]."""
        return self.killed | self.corrupted | self.dropped


class Schedule(Protocol):
    """The faults of every iteration."""

    def draw(self, iteration: int) -> Faults:
        """The same for the same iteration, whatever was drawn before."""


@dataclass(frozen=True)
class Stragglers:
    """A model of stragglers, for any number of learners.

    Args:
        model: `none`; `fixed`: `stragglers` learners drawn anew every iteration wait `delay`; `bernoulli`: each does with this `chance`;
            `exp`, `pareto`: after each update every learner waits a time of mean `delay` (pareto: Lomax, tail index `shape`);
            `trace`: as in `trace`, from its beginning again when it ends.
        delay: seconds.
        kill_rate: chance that a learner is killed in an iteration.

    Raises:
        UsageError: a value that makes no sense.
    """

    model: StragglerModel = "none"
    stragglers: int = 0
    delay: float = 0.0
    chance: float = 0.0
    shape: float = 2.0
    trace: Trace | None = field(default=None, repr=False)
    kill_rate: float = 0.0

    def __post_init__(self) -> None:
        if self.stragglers < 0:
            raise UsageError(f"{self.stragglers} stragglers: a number of learners is at least 0")
        if not 0 <= self.delay <= MAX_DELAY:
            raise UsageError(f"a delay of {self.delay:g} seconds: 0 to {MAX_DELAY:,.0f} are possible")
        if not 0 <= self.chance <= 1:
            raise UsageError(f"a chance of {self.chance:g} to be late: a chance is between 0 and 1")
        if not 0 <= self.kill_rate < 1:
            raise UsageError(f"a kill rate of {self.kill_rate:g}: a chance below 1 is needed, or no learner ever answers")
        if self.model == "pareto" and not 1 < self.shape < math.inf:
            raise UsageError(f"a tail index of {self.shape:g}: pareto has a mean only above 1")
        if (self.model == "trace") != (self.trace is not None):
            raise UsageError(
                "the model trace and a trace belong together", hint="give --trace FILE.csv or a run's folder with --model trace"
            )

    @property
    def per_update(self) -> bool:
        """Whether a delay follows each update instead of the whole computation."""
        return self.model in ("exp", "pareto")

    def schedule(self, learners: int, seed: int = 0) -> Schedule:
        """The faults of so many learners."""
        return _Drawn(self, learners, seed)

    def delays(self, generator: np.random.Generator, count: int, learners: int) -> Floats:
        """Delays [count, learners] of so many iterations; `fixed` slows all learners where there are not more than `stragglers`.

        Raises:
            ValueError: of a trace, which nothing is drawn from.
        """
        shape = (count, learners)
        match self.model:
            case "none":
                drawn = np.zeros(shape)
            case "fixed":
                slow = np.argsort(generator.random(shape), axis=1)[:, : self.stragglers]
                drawn = np.zeros(shape)
                np.put_along_axis(drawn, slow, self.delay, axis=1)
            case "bernoulli":
                drawn = np.where(generator.random(shape) < self.chance, self.delay, 0.0)
            case "exp":
                drawn = generator.exponential(self.delay, shape)
            case "pareto":
                drawn = self.delay * (self.shape - 1) * generator.pareto(self.shape, shape)
            case "trace":
                raise ValueError("a trace is replayed")
        return np.minimum(drawn, MAX_DELAY)


@dataclass(frozen=True)
class _Drawn:
    kind: Stragglers
    learners: int
    seed: int

    def draw(self, iteration: int) -> Faults:
        kind = self.kind
        if kind.trace is not None:
            delays, killed, corrupted, dropped = kind.trace.at(iteration, self.learners)
        else:
            delays = kind.delays(numpy_generator(self.seed, iteration, 0, DELAYS), 1, self.learners)[0]
            killed = corrupted = dropped = np.zeros(self.learners, bool)
        if kind.kill_rate:
            killed = killed | (numpy_generator(self.seed, iteration, 0, KILLS).random(self.learners) < kind.kill_rate)
        return Faults(delays, killed, corrupted, dropped, kind.per_update)


def schedule(
    model: StragglerModel,
    learners: int,
    *,
    stragglers: int = 0,
    delay: float = 0.0,
    chance: float = 0.0,
    shape: float = 2.0,
    trace: str | Path | Trace | None = None,
    kill_rate: float = 0.0,
    seed: int = 0,
) -> Schedule:
    """The faults of a run: `Stragglers` of these values, for `learners` learners.

    Raises:
        UsageError: a value that makes no sense.
        PprError: a trace that cannot be used.
    """
    if not isinstance(trace, Trace):
        trace = load_trace(Path(trace)) if trace else None
    return Stragglers(model, stragglers, delay, chance, shape, trace, kill_rate).schedule(learners, seed)
