"""What has arrived of one iteration: which shares are taken, whether they are enough, and the updates decoded from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, eye_array, vstack

from ...common.errors import PprError
from ..codes.code import Code
from ..codes.construction import build
from ..codes.decodability import condition
from ..codes.decoding import decode
from ..codes.field import to_bytes
from ..codes.matrices import from_matrix
from ..codes.tracker import Tracker
from ..config import FieldName
from .engine import Assignment, Share
from .work import checksum, digest

#: What the controller makes of an answer.
Verdict = Literal["used", "late", "duplicate", "corrupt", "abandoned", "dropped"]


@dataclass(frozen=True)
class Disagreement:
    """Two learners computed different updates of the same agent."""

    agent: int
    learners: tuple[int, int]


class Collection:
    """The shares of one iteration.

    Besides a learner's own row of the code, single updates can come from anybody (`Assignment.plain`): as rows of the identity below the
    encoding matrix.

    Args:
        lengths: floats of each agent's update.
        names: of the agents, for messages.
    """

    def __init__(self, code: Code, lengths: Sequence[int], names: Sequence[str], iteration: int) -> None:
        self.code, self.lengths, self.names, self.iteration = code, lengths, names, iteration
        self.payloads: dict[int, NDArray[Any]] = {}
        self.digests: dict[int, tuple[bytes, int]] = {}
        self.learners: set[int] = set()
        self.disagreement: Disagreement | None = None
        self.rows = code
        self.tracker = Tracker(code)
        self._all = set(np.flatnonzero(code.weights).tolist())

    def accept(self, share: Share) -> Verdict:
        """Take a share if it can be used."""
        task = share.assignment
        if share.payload is None:
            return "dropped" if share.outcome == "dropped" else "abandoned"
        if task.iteration != self.iteration or task.field != self.code.field:
            return "late"
        if checksum(share.payload) != share.crc:
            return "corrupt"
        self._compare(share)
        if self._row(task) in self.payloads:
            return "duplicate"
        self._add(task)
        self.payloads[self._row(task)] = share.payload
        self.learners.add(task.learner)
        return "used"

    def _row(self, task: Assignment) -> int:
        """The row of the code that a task's share is, those of single updates below the learners'."""
        return self.code.learners + task.agents[0] if task.plain else task.learner

    def _add(self, task: Assignment) -> None:
        if self.code.separate:
            return
        if task.plain and self.rows is self.code:
            self.rows = with_plain_rows(self.code)
            self.tracker = Tracker(self.rows)
            for row in self.payloads:
                self.tracker.add(row)
        self.tracker.add(self._row(task))

    def _compare(self, share: Share) -> None:
        learner = share.assignment.learner
        for agent, found in share.digests.items():
            first, other = self.digests.setdefault(agent, (found, learner))
            if found != first and self.disagreement is None:
                self.disagreement = Disagreement(agent, (other, learner))

    @property
    def decodable(self) -> bool:
        if self.code.separate:
            return len(self.payloads) == self.code.agents
        return self.tracker.decodable

    def reachable(self, pending: Iterable[Assignment]) -> bool:
        """Whether the shares would be enough once those of the pending tasks are there too."""
        pending = [task for task in pending if task.iteration == self.iteration and task.field == self.code.field]
        rows = {*self.payloads, *map(self._row, pending)}
        if self.code.separate:
            return len(rows) == self.code.agents
        if rows >= self._all:
            return True
        complete = all(row < self.code.learners for row in rows)
        hypothetical = Tracker(self.code if complete else with_plain_rows(self.code))
        for row in rows:
            hypothetical.add(row)
        return hypothetical.decodable

    @property
    def missing(self) -> list[int]:
        """The agents whose updates do not follow from what has arrived."""
        if self.code.separate:
            return [agent for agent in range(self.code.agents) if self.code.learners + agent not in self.payloads]
        return sorted(self.tracker.missing)

    @property
    def condition(self) -> float:
        """Condition number of the received rows; 1 where decoding is exact."""
        if self.code.separate or self.code.field == "gf256":
            return 1.0
        return condition(self.rows, sorted(self.payloads))

    def vectors(self) -> list[NDArray[np.float32]]:
        """The updates of all agents, each float32 of its own length.

        Raises:
            PprError: under gf256, a decoded update that is not the one whose digest the learners sent.
        """
        if self.code.separate:
            return [self.payloads[self.code.learners + agent] for agent in range(self.code.agents)]
        length = max(self.lengths)
        payloads = {row: payload if row < self.code.learners else self._padded(payload, length) for row, payload in self.payloads.items()}
        decoded = decode(self.rows, payloads)
        found = [decoded[agent, :length] for agent, length in enumerate(self.lengths)]
        if self.code.field == "gf256":
            for agent, vector in enumerate(found):
                if agent in self.digests and digest(vector) != self.digests[agent][0]:
                    raise PprError(
                        f"iteration {self.iteration}: the decoded update of agent {self.names[agent]} is not what its learners computed",
                        hint="a learner's memory is damaged, or its ppr differs from this one; try --field real64",
                    )
        return found

    def _padded(self, vector: NDArray[np.float32], length: int) -> NDArray[Any]:
        """A single update as a share of the code's field."""
        full = np.zeros(length, np.float32)
        full[: len(vector)] = vector
        return to_bytes(full) if self.code.field == "gf256" else full.astype(np.float64 if self.code.field == "real64" else np.float32)


def with_plain_rows(code: Code) -> Code:
    """The code with a row of the identity for each agent below its own rows."""
    plain = eye_array(code.agents, dtype=code.entries.dtype, format="csr")
    return replace(code, entries=csr_array(vstack([code.entries, plain])), family="file", tolerance=None, generic=False)


def over_reals(code: Code) -> Code:
    """The same code with real numbers, for learners that do not agree in every bit.

    Raises:
        UsageError: a matrix of one's own that cannot be read over the reals.
    """
    real: FieldName = "real64"
    if code.family != "file":
        tolerance = code.tolerance if code.family in ("balanced", "multi") else None
        return build(code.family, code.learners, code.agents, tolerance=tolerance, field=real, seed=code.seed)  # type: ignore[arg-type]
    values = np.random.Generator(np.random.PCG64(code.seed)).uniform(0.5, 1.5, code.matrix.shape)
    return from_matrix(np.where(code.matrix != 0, values, 0.0), field=real)
