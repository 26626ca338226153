"""The least work for a tolerance: s + 1 learners an agent, spread evenly, with coefficients that keep every erasure well conditioned.

No code that survives s lost learners has a smaller largest weight than ceil(M (s + 1) / N), which these reach: every agent must be held by
s + 1 learners. For s = N - M they are balanced sparsest MDS codes (Dau, Song, Dong and Yuen 2013).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ...common.random import numpy_generator
from . import reed_solomon, support
from .erasures import Received, all_received, approximate_conditions, drawn_received, enumerable, equilibrated, has_small_gram

STREAM = 201
LOW, HIGH = 0.5, 1.5  # magnitudes of real coefficients: far from 0, and no two learners alike
CANDIDATES = 400
CHANGES = 1600
FIRST, GROWTH = 64, 4  # erasures that a candidate has to better first, those that were the hardest before it; then four times as many
WORK = 300_000  # condition numbers of 8 x 8 matrices in one search: about a second
PERFECT = 1 + 1e-9
SAMPLES = 400
DRAWN_AGENTS = 64  # beyond, the cyclic support is taken
SUPPORTS = 20


def affordable(learners: int, agents: int, updates: int = 2) -> int:
    """The largest tolerance with at most so many updates a learner."""
    return max(0, min(updates * learners // agents - 1, learners - agents))


def support_of(learners: int, agents: int, tolerance: int, seed: int) -> csr_array:
    """A proven support, 0/1 float64 [learners, agents], at once."""
    random = numpy_generator(seed, learners, agents, STREAM)
    return next(support.proven(learners, agents, tolerance, random, SUPPORTS if agents <= DRAWN_AGENTS else 0))


def real(learners: int, agents: int, tolerance: int, seed: int, *, search: bool = True) -> csr_array:
    """Real coefficients, float64 [learners, agents].

    Args:
        search: look for about a second for the best worst condition number over all (or if there are too many, over some) erasures of
            `tolerance` learners; of more than 64 agents never.
    """
    if not search or agents > DRAWN_AGENTS or not has_small_gram(learners, agents):
        random = numpy_generator(seed, learners, agents, STREAM + 2)
        return _plain(_coefficients(support_of(learners, agents, tolerance, seed), random))
    return _plain(csr_array(_searched(learners, agents, tolerance, seed)))


def galois(learners: int, agents: int, tolerance: int, seed: int, *, search: bool = True) -> csr_array:
    """Elements of GF(256), uint8 [learners, agents], on the support of the real code with these arguments; N at most 255."""
    random = numpy_generator(seed, learners, agents, STREAM + 1)
    for held in (real(learners, agents, tolerance, seed, search=search), support.cyclic(learners, agents, tolerance)):
        matrix = reed_solomon.on_support(held.toarray() != 0, random)
        if matrix is not None:
            return csr_array(matrix)
    raise AssertionError(f"no order of the field elements gives {learners} x {agents} of tolerance {tolerance} full rank")


@lru_cache(maxsize=64)
def _searched(learners: int, agents: int, tolerance: int, seed: int) -> NDArray[np.float64]:
    """Draw candidates; then redraw a few coefficients of the best one as long as the work allows."""
    random = numpy_generator(seed, learners, agents, STREAM)
    exhaustive = enumerable(learners, agents, tolerance)
    received = all_received(learners, tolerance) if exhaustive else drawn_received(learners, tolerance, SAMPLES, random)
    supports = _supports(learners, agents, tolerance, random, exhaustive)
    order, best, best_worst, work = np.arange(len(received)), np.empty(0), math.inf, 0.0
    for attempt in range(CANDIDATES + CHANGES):
        fresh = attempt < CANDIDATES and work < WORK / 2
        matrix = _coefficients(next(supports), random).toarray() if fresh else _changed(best, random)
        found = _unless_worse(equilibrated(matrix), received, order, best_worst)
        work += len(found) * max(1.0, (agents / 8) ** 2)
        if len(found) == len(order) and found.max() < best_worst:
            order, best, best_worst = order[np.argsort(-found)], matrix, float(found.max())
        if work > WORK or best_worst < PERFECT:
            break
    return best


def _unless_worse(rows: NDArray[np.float64], received: Received, order: NDArray[np.int64], limit: float) -> NDArray[np.float64]:
    """Condition numbers of the erasures in this order, given up after one that is not below the limit."""
    found = np.empty(0)
    while len(found) < len(order) and (not len(found) or found.max() < limit):
        more = order[len(found) : max(FIRST, GROWTH * len(found))]
        found = np.concatenate([found, approximate_conditions(rows, received[more])])
    return found


def _supports(learners: int, agents: int, tolerance: int, random: np.random.Generator, exhaustive: bool) -> Iterator[csr_array]:
    """Endlessly many; of surplus s, unless every erasure is looked at anyway."""
    if exhaustive:
        yield support.cyclic(learners, agents, tolerance)
        while True:
            yield csr_array(support.drawn(learners, agents, tolerance, random).astype(np.float64))
    yield from itertools.cycle(list(support.proven(learners, agents, tolerance, random, SUPPORTS)))


def _coefficients(held: csr_array, random: np.random.Generator) -> csr_array:
    values = random.uniform(LOW, HIGH, held.nnz) * random.choice([-1.0, 1.0], held.nnz)
    return csr_array((values, held.indices, held.indptr), shape=held.shape)


def _changed(matrix: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """With one to three of the coefficients redrawn."""
    changed, places = matrix.copy(), np.argwhere(matrix)
    chosen = places[random.integers(len(places), size=random.integers(1, 4))]
    changed[chosen[:, 0], chosen[:, 1]] = random.uniform(LOW, HIGH, len(chosen)) * random.choice([-1.0, 1.0], len(chosen))
    return changed


def _plain(entries: csr_array) -> csr_array:
    """With coefficient 1 for learners of a single agent, whose updates then arrive as they are."""
    alone = np.repeat(np.diff(entries.indptr) == 1, np.diff(entries.indptr))
    return csr_array((np.where(alone, 1.0, entries.data), entries.indices, entries.indptr), shape=entries.shape)
