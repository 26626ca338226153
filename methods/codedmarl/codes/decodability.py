"""When received shares determine every agent: while they arrive, and over all the ways in which learners can be lost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ...common.random import numpy_generator
from . import erasures, support
from .span import SMALL, Span, make_span

if TYPE_CHECKING:
    from .code import Code

STREAM = 203
DRAWN_SETS = 10_000  # where there are too many erasures for all of them
DRAWN_SETS_LARGE = 300  # of codes for more than SMALL agents
PIVOT = 1e-8  # part of a row that an entry must be for the row to determine its agent
MATCHING_WORK = 5e7  # agents x entries up to which the bound by the support takes seconds


class Tracker:
    """The shares of one iteration as they arrive.

    Nothing is computed before there are as many shares as agents and each agent is in one of them, nor after N - s of them, s being the
    proven tolerance. Between, agents that rows of a single unknown determine are peeled off, and the rank of the rest is followed.

    Attributes:
        received: learners in the order of their (first) shares.
    """

    def __init__(self, code: Code) -> None:
        self.code = code
        self.received: list[int] = []
        self._seen = np.zeros(code.learners, bool)
        self._covered = np.zeros(code.agents, bool)
        self._useful = 0  # received rows that are not zero
        self._tested = 0  # of `received`, those that were tested
        self._rank = 0  # of those
        self._known: NDArray[np.bool_] | None = None
        self._span: Span | None = None

    def add(self, learner: int, agent: int | None = None) -> bool:
        """A share came in.

        Args:
            learner: whose it is.
            agent: which update it is, if the code sends them separately; None: all of the learner's.

        Returns:
            whether it can help: False for a second share of a learner, one of a learner without agents, one of known agents; and, of codes
            for at most 64 agents and once the rank has been tested, one that the others determine.
        """
        first = not self._seen[learner]
        if first:
            self._seen[learner] = True
            self.received.append(learner)
        entries = self.code.entries
        part = entries.indices[entries.indptr[learner] : entries.indptr[learner + 1]]
        if self.code.separate:
            agents = part if agent is None else [agent]
            new = not self._covered[agents].all()
            self._covered[agents] = True
            return new
        if not first or not len(part):
            return False
        self._covered[part] = True
        self._useful += 1
        if self._known is None or self.code.agents > SMALL:
            return True
        tested = self._rank
        return self.rank > tested

    @property
    def decodable(self) -> bool:
        """Whether every agent's update follows from the shares."""
        code = self.code
        if code.separate:
            return bool(self._covered.all())
        if self._useful < code.agents or not self._covered.all():
            return False
        if code.tolerance is not None and len(self.received) >= code.learners - code.tolerance:
            return True
        # No row adds more than one to the rank.
        return len(self.received) - self._tested >= code.agents - self._rank and self.rank == code.agents

    @property
    def rank(self) -> int:
        """Of the received rows; for separate codes the agents that are there."""
        if self.code.separate:
            return int(self._covered.sum())
        self._test()
        return self._rank

    @property
    def missing(self) -> set[int]:
        """Agents whose updates do not follow from the shares yet."""
        if self.code.separate:
            return set(np.flatnonzero(~self._covered).tolist())
        known, span = self._test()
        open_agents = np.flatnonzero(~known)
        return set(open_agents[~span.determined()].tolist())

    def _test(self) -> tuple[NDArray[np.bool_], Span]:
        """Bring the span up to date: bool [M] of peeled agents, and the span of the rows over the others."""
        if self._known is None or self._span is None:
            rows = take_rows(self.code.entries, self.received)
            self._known = peeled(rows)
            columns = int((~self._known).sum())
            self._span = make_span(columns, self.code.learners, rows.dtype, generic=self.code.generic)
            self._span.extend(_core(rows, self._known))
        elif self._tested < len(self.received):
            self._span.extend(_core(take_rows(self.code.entries, self.received[self._tested :]), self._known))
        self._tested = len(self.received)
        self._rank = int(self._known.sum()) + self._span.rank
        return self._known, self._span


def tracker(code: Code) -> Tracker:
    """For one iteration."""
    return Tracker(code)


def take_rows(entries: csr_array, rows: list[int]) -> csr_array:
    """Those rows, [len(rows), M]."""
    return csr_array(entries[np.array(rows, np.int64)])


def _core(rows: csr_array, known: NDArray[np.bool_]) -> csr_array:
    """Rows that hold unknown agents, restricted to those; real ones scaled to unit norm before."""
    if rows.dtype != np.uint8:
        rows = csr_array((rows.data * np.repeat(row_scales(rows), np.diff(rows.indptr)), rows.indices, rows.indptr), shape=rows.shape)
    core = csr_array(rows[:, np.flatnonzero(~known)])
    return csr_array(core[np.flatnonzero(np.diff(core.indptr))])


def row_scales(rows: csr_array) -> NDArray[np.float64]:
    """What scales each real row to unit norm, [n]; 1 for rows of zeros."""
    norms = np.sqrt(np.bincount(np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr)), np.square(rows.data), rows.shape[0]))
    return 1 / np.where(norms > 0, norms, 1.0)


def peeled(rows: csr_array) -> NDArray[np.bool_]:
    """Agents found by peeling: a row in which a single agent is unknown determines it, and so on. bool [M]."""
    known = np.zeros(rows.shape[1], bool)
    row_of = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    strong = np.ones(rows.nnz, bool)
    if rows.dtype != np.uint8:
        largest = np.zeros(rows.shape[0])
        np.maximum.at(largest, row_of, np.abs(rows.data))
        strong = np.abs(rows.data) > PIVOT * largest[row_of]
    while True:
        unknown = ~known[rows.indices]
        single = np.bincount(row_of[unknown], minlength=rows.shape[0]) == 1
        found = rows.indices[unknown & strong & single[row_of]]
        if not len(found):
            return known
        known[found] = True


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
class Share:
    """A part of the erasures of some number of learners: of all of them (standard error 0), or estimated from some."""

    probability: float
    standard_error: float
    sets: int

    @property
    def exact(self) -> bool:
        return self.standard_error == 0


def decodable_share(code: Code, erased: int, *, seed: int = 0) -> Share:
    """P(dec | k): the part of the C(N, k) erasures of k learners that leaves every agent decodable.

    Exact up to 200,000 erasures that can be looked at in seconds; otherwise 10,000 (of large codes 300) random ones.

    Raises:
        ValueError: fewer than 0 or more than N erased.
    """
    if not 0 <= erased <= code.learners:
        raise ValueError(f"{erased} of {code.learners} learners")
    sets = math.comb(code.learners, erased)
    if _survives(code, erased):
        return Share(1.0, 0.0, sets)
    if _loses(code, erased):
        return Share(0.0, 0.0, sets)
    if _enumerable(code, erased):
        return Share(float(decodable_sets(code, erasures.all_received(code.learners, erased)).mean()), 0.0, sets)
    count = DRAWN_SETS if code.separate or code.agents <= SMALL else DRAWN_SETS_LARGE
    drawn = erasures.drawn_received(code.learners, erased, count, numpy_generator(seed, code.learners, erased, STREAM))
    found = int(decodable_sets(code, drawn).sum())
    # Laplace's estimate keeps the error above 0 where all or none of the draws were decodable.
    smoothed = (found + 1) / (count + 2)
    return Share(found / count, math.sqrt(smoothed * (1 - smoothed) / count), count)


def has_exact_share(code: Code, erased: int) -> bool:
    """Whether `decodable_share` is exact."""
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
