"""The best code for any number of stragglers and any delay."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...common.random import numpy_generator
from ..codes.code import Code
from ..codes.erasures import all_received, enumerable
from ..learners.stragglers import Stragglers
from .arrivals import KnownSets
from .plan import SAME, Option, Plan
from .waits import Situation, mean_wait, samples

SETS = 400  # of stragglers, a cell
LEAST_SETS, ENTRIES = 50, 400_000  # at least so many; beyond, sets x entries of the encoding matrix
WORK = 1e7  # sets x N x M^2 of a code in a row
ROWS = 12
LATE = 103  # purpose of the random stream


@dataclass(frozen=True)
class HeatMap:
    """Expected waits for k stragglers that are late by a delay.

    Args:
        stragglers: rows, k.
        delays: columns, seconds.
        options: the codes.
        waits: float64 [codes, rows, columns], seconds; infinite where a code cannot be the best.
    """

    stragglers: Sequence[int]
    delays: Sequence[float]
    options: Sequence[Option]
    waits: NDArray[np.float64]

    def best(self, *, separate: bool) -> NDArray[np.int64]:
        """Index of the code with the shortest wait [rows, columns], of equal ones the one of least upload and work.

        Args:
            separate: whether codes count that send every update by itself.
        """
        places = [place for place, one in enumerate(self.options) if separate or not one.code.separate]
        places.sort(key=lambda place: self.options[place].cost()[1:])
        return np.array(places)[np.argmin(np.round(self.waits[places] / SAME), axis=0)]

    def wait_of(self, best: NDArray[np.int64]) -> NDArray[np.float64]:
        """Waits of these codes, seconds [rows, columns]."""
        return np.take_along_axis(self.waits, best[None], axis=0)[0]


def heat_map(plan: Plan, advance: Callable[[], object] = lambda: None) -> HeatMap:
    """Expected waits of all codes over (k, delay); large numbers of sets of stragglers are sampled, the same ones for every code of a size.

    Args:
        advance: called after each code.
    """
    situation, options = plan.situation, plan.options
    learners, agents = max(one.code.learners for one in options), options[0].code.agents
    most = min(learners - 1, learners - agents + 2)
    rows = np.unique(np.linspace(0, most, min(most + 1, ROWS)).round().astype(int)).tolist()
    delays = delay_axis(situation)
    waits = np.full((len(options), len(rows), len(delays)), np.inf)
    best = np.full((len(rows), len(delays)), np.inf)  # of the codes with one share a learner
    floors = [_least_wait(one.code, situation) for one in options]
    for place in sorted(range(len(options)), key=lambda place: floors[place]):
        code = options[place].code
        known = KnownSets(code)
        for row, slow in enumerate(rows):
            if floors[place] > best[row].max() + SAME:
                continue
            late = _sets(code, min(slow, code.learners), situation.seed)
            for column, delay in enumerate(delays):
                here = replace(situation, stragglers=Stragglers("fixed", slow, delay))
                waits[place, row, column] = mean_wait(known, here, late)
            if not code.separate:
                best[row] = np.minimum(best[row], waits[place, row])
        advance()
    return HeatMap(rows, delays, options, waits)


def _least_wait(code: Code, situation: Situation) -> float:
    """What a code takes without stragglers: the M lightest learners have to be done."""
    weight = 1 if code.separate else int(np.sort(code.weights[code.weights > 0])[code.agents - 1])
    return weight * situation.pace.update + situation.pace.transfer


def delay_axis(situation: Situation) -> list[float]:
    """Delays of a heat map in steps of 1, 2, 5: from below an update to five times the delay, or fifty updates."""
    update, delay = situation.update_time, situation.stragglers.delay
    lowest = min([value for value in (update, delay) if value > 0], default=0.1)
    highest = max(delay, 10 * update) or 1.0
    powers = range(math.floor(math.log10(lowest / 2.5)), math.ceil(math.log10(5 * highest)) + 1)
    steps = [float(f"{step}e{power}") for power in powers for step in (1, 2, 5)]
    inside = [step for step in steps if lowest / 2.5 <= step <= 5.01 * highest]
    return inside[:: max(1, -(-len(inside) // 10))]


def _sets(code: Code, slow: int, seed: int) -> NDArray[np.bool_]:
    """Who is late, bool [sets, N]: all sets of this size if they are few, random ones otherwise."""
    count = samples(code, WORK, min(SETS, max(LEAST_SETS, ENTRIES // len(code.entries.indices))))
    if enumerable(code.learners, 1, slow) and len(every := all_received(code.learners, slow)) <= count:
        return ~every
    random = numpy_generator(seed, slow, 0, LATE).random((count, code.learners))
    return np.argsort(np.argsort(random, axis=1), axis=1) < slow
