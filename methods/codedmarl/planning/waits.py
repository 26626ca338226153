"""How long an iteration waits with a code: exactly where all cases can be looked at or a formula is known, else by random draws."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...common.measuring.seeds import standard_error
from ...common.random import numpy_generator
from ..codes.code import Code
from ..codes.erasures import MAX_SETS, all_received
from ..learners.stragglers import Stragglers
from .arrivals import KnownSets, Pace, arrival_times, first_decodable
from .closed_forms import shifted_exponential

SAMPLES = 20_000  # most random iterations
LEAST_SAMPLES = 200
WORK = 2e9  # samples x N x M^2 of a code whose sets of rows have to be tested for their rank
ENTRIES = 200_000_000  # samples x entries of the encoding matrix
CHUNK = 1 << 22  # times held at once
NEGLIGIBLE = 1e-12  # chance of a number of stragglers that is left out
DRAWS = 102  # purpose of the random stream

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Situation:
    """What learners, links and stragglers are like.

    Args:
        update_time: t_u, seconds of an agent update.
        overhead: t_0, seconds of rollout, broadcast and decoding.
        payload: bytes of a share.
        bandwidth: bytes a second that a share travels with.
        timeout: seconds after which missing agents are given to other learners; that is when an iteration ends whose learners were lost.
        seed: of random draws.
    """

    stragglers: Stragglers
    update_time: float
    overhead: float = 0.0
    payload: float = 0.0
    bandwidth: float = math.inf
    timeout: float = 30.0
    seed: int = 0

    @property
    def pace(self) -> Pace:
        return Pace(self.update_time, self.payload / self.bandwidth)


@dataclass(frozen=True)
class Estimate:
    """The wait of an iteration, seconds, without its overhead.

    Args:
        mean: E[X]; an iteration that is never decodable counts with the timeout and one update more.
        error: standard error of the mean; None where it is exact.
        p95: 95th percentile.
        decodable: chance that the learners that are not lost (and with `fixed` and `bernoulli` not slow) suffice; None if all are there.
        never: chance that not even all that arrive suffice.
        method: how it was found.
        cases: sets of stragglers, draws or iterations of the trace that were looked at; 0 for a formula.
    """

    mean: float
    error: float | None
    p95: float
    decodable: float | None
    never: float
    method: Literal["enumeration", "formula", "monte-carlo", "replay"]
    cases: int


@dataclass(frozen=True)
class _Cases:
    """Iterations to look at: delays [B, N], lost [B, N] and their probabilities [B]."""

    delays: Floats
    lost: Mask
    weight: Floats
    method: Literal["enumeration", "monte-carlo", "replay"]


def estimate(code: Code, situation: Situation, known: KnownSets | None = None) -> Estimate:
    """The wait with a code.

    Args:
        known: of this code, where several situations are looked at.
    """
    known, kind = known or KnownSets(code), situation.stragglers
    if kind.model == "exp" and not kind.kill_rate:
        wait = shifted_exponential(code, situation.update_time, kind.delay)
        if wait is not None:
            transfer = situation.pace.transfer
            return Estimate(wait.mean + transfer, None, wait.p95 + transfer, None, 0.0, "formula", 0)
    return _summary(_cases(code, situation), known, situation)


def mean_wait(known: KnownSets, situation: Situation, late: Mask) -> float:
    """The mean wait over sets of stragglers bool [sets, N] that are all late by the situation's delay, seconds."""
    delays = np.where(late, situation.stragglers.delay, 0.0)
    return float(_waits(known, situation, delays, np.zeros(late.shape, bool))[0].mean())


def _summary(cases: _Cases, known: KnownSets, situation: Situation) -> Estimate:
    kind, step = situation.stragglers, max(1, CHUNK // max(known.code.learners, len(known.code.entries.indices)))
    waits, never, decodable = np.empty(len(cases.weight)), np.empty(len(cases.weight), bool), np.empty(len(cases.weight), bool)
    for start in range(0, len(waits), step):
        part = slice(start, start + step)
        delays, lost = cases.delays[part], cases.lost[part]
        waits[part], never[part] = _waits(known, situation, delays, lost)
        decodable[part] = known(~lost & (delays == 0) if kind.model in ("fixed", "bernoulli") else ~lost)
    says_something = kind.model not in ("exp", "pareto") or bool(cases.lost.any())
    return Estimate(
        mean=float(waits @ cases.weight),
        error=standard_error(waits) if cases.method == "monte-carlo" else None,
        p95=_quantile(waits, cases.weight, 0.95),
        decodable=float(decodable @ cases.weight) if says_something else None,
        never=float(never @ cases.weight),
        method=cases.method,
        cases=len(waits),
    )


def _waits(known: KnownSets, situation: Situation, delays: Floats, lost: Mask) -> tuple[Floats, Mask]:
    """Waits of iterations with these faults [B, N], and which of them end by the timeout alone."""
    pace = situation.pace
    times = arrival_times(known.code, delays, lost, pace, per_update=situation.stragglers.per_update)
    waits = first_decodable(known, times)
    never = ~np.isfinite(waits)
    return np.where(never, situation.timeout + pace.update + pace.transfer, waits), never


def _quantile(values: Floats, weight: Floats, probability: float) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weight[order]) >= probability - 1e-12
    return float(values[order[int(np.argmax(reached))]])


def _cases(code: Code, situation: Situation) -> _Cases:
    kind, learners = situation.stragglers, code.learners
    if kind.trace is not None:
        return _replayed(kind, learners)
    if not kind.kill_rate:
        if kind.model in ("none", "fixed"):
            slow = min(kind.stragglers, learners) if kind.model == "fixed" else 0
            if math.comb(learners, slow) <= MAX_SETS:
                return _enumerated(learners, {slow: 1.0}, kind.delay)
        if kind.model == "bernoulli" and 2**learners <= MAX_SETS:
            chances = {slow: _binomial(learners, slow, kind.chance) for slow in range(learners + 1)}
            return _enumerated(learners, {slow: chance for slow, chance in chances.items() if chance > NEGLIGIBLE}, kind.delay)
    count = samples(code)
    random = numpy_generator(situation.seed, 0, 0, DRAWS)
    delays = kind.delays(random, count, learners)
    lost = random.random(delays.shape) < kind.kill_rate if kind.kill_rate else np.zeros(delays.shape, bool)
    return _Cases(delays, lost, np.full(count, 1 / count), "monte-carlo")


def samples(code: Code, work: float = WORK, most: int = SAMPLES) -> int:
    """Random iterations that a code's estimate gets."""
    most = min(most, max(LEAST_SAMPLES, ENTRIES // max(code.learners, len(code.entries.indices))))
    if code.separate or code.max_weight == 1 or code.tolerance == code.learners - code.agents:
        return most
    return min(most, max(int(work / (code.learners * code.agents**2)), min(most, LEAST_SAMPLES)))


def _binomial(count: int, hits: int, chance: float) -> float:
    return math.comb(count, hits) * chance**hits * (1 - chance) ** (count - hits)


def _enumerated(learners: int, chances: dict[int, float], delay: float) -> _Cases:
    """Every set of so many stragglers, all sets of one size being equally likely."""
    sets = [~all_received(learners, slow) for slow in chances]
    weight = [np.full(len(part), chance / len(part)) for part, chance in zip(sets, chances.values(), strict=True)]
    delays = np.where(np.concatenate(sets), delay, 0.0)
    return _Cases(delays, np.zeros(delays.shape, bool), np.concatenate(weight), "enumeration")


def _replayed(kind: Stragglers, learners: int) -> _Cases:
    """The iterations of a trace that have rows, of very many an even selection, and one case for those that have none."""
    assert kind.trace is not None
    there = np.unique(kind.trace.iteration)
    empty = 1 - len(there) / kind.trace.period
    most = min(SAMPLES, max(LEAST_SAMPLES, ENTRIES // learners))
    chosen = there[np.linspace(0, len(there) - 1, min(len(there), most)).round().astype(np.int64)]
    faults = [kind.schedule(learners).draw(int(iteration)) for iteration in chosen]
    weight = np.full(len(faults), (1 - empty) / len(faults))
    delays, lost = np.array([one.delays for one in faults]), np.array([one.lost for one in faults])
    if empty > 0:
        delays, lost = np.vstack([delays, np.zeros(learners)]), np.vstack([lost, np.zeros(learners, bool)])
        weight = np.append(weight, empty)
    return _Cases(delays, lost, weight, "replay")
