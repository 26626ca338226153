"""When the shares that arrive one after the other determine every agent: by peeling, and by the rank of what is left."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from .code import Code
from .span import SMALL, Span, make_span

PIVOT = 1e-8  # part of a row that an entry must be for the row to determine its agent


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
