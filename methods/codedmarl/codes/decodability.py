"""Which sets of received shares determine every agent, over all the ways in which learners can be lost."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...common.random import numpy_generator
from . import erasures, support
from .code import Code
from .span import SMALL
from .tracker import Tracker

STREAM = 203
DRAWN_SETS = 10_000  # where there are too many erasures for all of them
DRAWN_SETS_LARGE = 300  # of codes for more than SMALL agents
MATCHING_WORK = 5e7  # agents x entries up to which the bound by the support takes seconds


def decodable_sets(code: Code, received: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each of the sets of learners [B, N] determines every agent, bool [B]. All shares of a learner of a separate code count."""
    if code.separate:
        return ~((received.astype(np.float32) @ (code.matrix != 0).astype(np.float32)) == 0).any(axis=1)
    complete = np.zeros(len(received), bool)
    if code.tolerance is not None:
        complete = received.sum(axis=1) >= code.learners - code.tolerance
    if code.agents <= SMALL or code.field == "gf256":
        complete[~complete] = erasures.full_rank(code.matrix, received[~complete])
    else:
        complete[~complete] = [_complete(code, row) for row in received[~complete]]
    return complete


def _complete(code: Code, received: NDArray[np.bool_]) -> bool:
    arrived = Tracker(code)
    for learner in np.flatnonzero(received):
        arrived.add(int(learner))
    return arrived.decodable


@dataclass(frozen=True)
class Fraction:
    """The part of the erasures of k learners that can be decoded: of all of them (standard error 0), or estimated from some."""

    probability: float
    standard_error: float
    sets: int

    @property
    def exact(self) -> bool:
        return self.standard_error == 0


def decodable_fraction(code: Code, erased: int, *, seed: int = 0) -> Fraction:
    """P(dec | k): the part of the C(N, k) erasures of k learners that leaves every agent decodable.

    Exact up to 200,000 erasures that can be looked at in seconds; otherwise 10,000 (of large codes 300) random ones.

    Raises:
        ValueError: fewer than 0 or more than N erased.
    """
    if not 0 <= erased <= code.learners:
        raise ValueError(f"{erased} of {code.learners} learners")
    sets = math.comb(code.learners, erased)
    if _survives(code, erased):
        return Fraction(1.0, 0.0, sets)
    if _loses(code, erased):
        return Fraction(0.0, 0.0, sets)
    if _enumerable(code, erased):
        return Fraction(float(decodable_sets(code, erasures.all_received(code.learners, erased)).mean()), 0.0, sets)
    count = DRAWN_SETS if code.separate or code.agents <= SMALL else DRAWN_SETS_LARGE
    drawn = erasures.drawn_received(code.learners, erased, count, numpy_generator(seed, code.learners, erased, STREAM))
    found = int(decodable_sets(code, drawn).sum())
    # Laplace's estimate keeps the error above 0 where all or none of the draws were decodable.
    smoothed = (found + 1) / (count + 2)
    return Fraction(found / count, math.sqrt(smoothed * (1 - smoothed) / count), count)


def has_exact_fraction(code: Code, erased: int) -> bool:
    """Whether `decodable_fraction` is exact."""
    return _survives(code, erased) or _loses(code, erased) or _enumerable(code, erased)


def _survives(code: Code, erased: int) -> bool:
    return code.tolerance is not None and erased <= code.tolerance


def _loses(code: Code, erased: int) -> bool:
    return erased == code.learners or (not code.separate and erased > code.learners - code.agents)


def _enumerable(code: Code, erased: int) -> bool:
    if code.separate:
        return math.comb(code.learners, erased) <= erasures.MAX_SETS
    return erasures.enumerable(code.learners, code.agents, erased)


@dataclass(frozen=True)
class Tolerance:
    """The largest number of learners that may be lost, whichever they are: proven to be at least, and at most."""

    proven: int
    at_most: int


def tolerance(code: Code) -> int:
    """The number of lost learners, whichever they are, that is proven to leave every agent decodable; 0 for a code of full rank."""
    return tolerance_bounds(code).proven


def tolerance_bounds(code: Code) -> Tolerance:
    """Proven by looking at every erasure, or by the support where that decides; both ends agree unless there are too many erasures."""
    copies = np.bincount(code.entries.indices, minlength=code.agents)
    most = int(copies.min()) - 1
    if code.separate or code.max_weight <= 1:
        return Tolerance(most, most)
    most = min(most, code.learners - code.agents)
    bounded = code.agents * (code.entries.nnz + most * int(copies.max())) <= MATCHING_WORK
    if bounded and (code.generic or _enumerable(code, 1)):
        most = min(most, support.surplus(code.entries))
    if bounded and code.generic and not _enumerable(code, most):
        return Tolerance(most, most)
    # An erasure that can be decoded still can with a learner more: the levels that hold are 0 to some last one.
    holds, fails = 0, most + 1
    if most > 0 and _enumerable(code, most) and _all_decodable(code, most):
        return Tolerance(most, most)
    while holds + 1 < fails:
        level = next((level for level in _middle_first(holds + 1, fails - 1) if _enumerable(code, level)), None)
        if level is None:
            break
        holds, fails = (level, fails) if _all_decodable(code, level) else (holds, level)
    return Tolerance(holds, fails - 1)


def with_proven_tolerance(code: Code) -> Code:
    """With the tolerance that can be proven in a few seconds; None where that says nothing."""
    bounds = tolerance_bounds(code)
    return replace(code, tolerance=bounds.proven if bounds.proven or bounds.at_most <= 0 else None)


def _middle_first(low: int, high: int) -> list[int]:
    return sorted(range(low, high + 1), key=lambda level: abs(2 * level - low - high))


def _all_decodable(code: Code, erased: int) -> bool:
    received = erasures.all_received(code.learners, erased)
    return all(decodable_sets(code, received[start : start + 4096]).all() for start in range(0, len(received), 4096))


def condition(code: Code, learners: list[int]) -> float:
    """The condition number of the received rows, each scaled to unit norm: how much relative errors of shares can grow in decoding.

    1 for GF(256) and separate codes, whose decoding is exact; inf where the rows do not determine every agent.
    """
    received = np.zeros((1, code.learners), bool)
    received[0, learners] = True
    if code.field == "gf256" or code.separate:
        return 1.0 if decodable_sets(code, received)[0] else math.inf
    return float(erasures.conditions(code.matrix, received)[0])
