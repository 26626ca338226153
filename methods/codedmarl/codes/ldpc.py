"""Regular LDPC array codes as encoding matrices (Fan 2000; Wang et al. 2021, section III).

Block (i, j) of the parity check of gamma x rho blocks is the p x p cyclic shift to the power i*j. It has p*rho columns, one a learner, each
in gamma checks. For a prime p its rank over GF(2) is gamma*(p - 1) + 1, which leaves p*rho less that many agents: (3, 5, 3) is the paper's
code of 15 learners for 8 agents, (3, 5, 2) that for 10.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ...common.errors import UsageError
from . import gf2

NEAREST = 32  # how far other sizes are looked for


@dataclass(frozen=True)
class ArrayCode:
    """Parameters of an array code, shortened to `learners` columns: those of the first `dropped` checks go, and then the last ones.

    A shortened code keeps gamma checks a column. Without its columns a check is empty, which lowers the rank by one.
    """

    p: int
    rho: int
    gamma: int
    dropped: int
    learners: int

    @property
    def agents(self) -> int:
        return self.learners - (self.gamma * (self.p - 1) + 1 - self.dropped)

    def parity_check(self) -> NDArray[np.bool_]:
        """The parity check, bool [gamma * p, learners]."""
        block, place = np.divmod(np.arange(self.p * self.rho), self.p)
        kept = np.flatnonzero(place >= self.dropped)[: self.learners]
        check = np.zeros((self.gamma * self.p, self.learners), bool)
        for i in range(self.gamma):
            # Row r of shift^k has its one in column (r + k) mod p.
            check[i * self.p + (place[kept] - i * block[kept]) % self.p, np.arange(self.learners)] = True
        return check


def candidates(learners: int, agents: int) -> Iterator[ArrayCode]:
    """Array codes that shorten to these sizes: fewest dropped checks first, then those without two equal columns, then the sparsest."""
    checks = learners - agents
    found = []
    for p in (p for p in range(2, checks + 2) if _is_prime(p)):
        gamma = max(2, -(-(checks - 1) // (p - 1)))
        dropped = gamma * (p - 1) + 1 - checks
        if gamma <= p and dropped < p:
            found.append(ArrayCode(p, -(-learners // (p - dropped)), gamma, dropped, learners))
    yield from sorted(found, key=lambda code: (code.dropped, code.rho > code.p, code.gamma, code.p))


def generator(code: ArrayCode) -> NDArray[np.bool_] | None:
    """The systematic generator [learners, agents]: some learners hold one agent, the others sums over GF(2).

    None where the shortened code has another rank than it should, or a learner without agents.
    """
    reduced, pivots = gf2.reduce(code.parity_check())
    free = np.setdiff1d(np.arange(code.learners), pivots)
    matrix = np.zeros((code.learners, len(free)), bool)
    matrix[free, np.arange(len(free))] = True
    matrix[pivots] = reduced[:, free]
    return matrix if len(free) == code.agents and matrix.any(axis=1).all() else None


def encoding(learners: int, agents: int) -> csr_array:
    """The encoding matrix of the first candidate that has one, 0/1 float64 [learners, agents].

    Raises:
        UsageError: no array code has these sizes; names the nearest that one has.
    """
    for code in candidates(learners, agents):
        matrix = generator(code)
        if matrix is not None:
            return csr_array(matrix.astype(np.float64))
    raise UsageError(
        f"no LDPC array code (p, rho, gamma) has an encoding matrix of {learners} x {agents} (learners x agents)",
        hint=f"nearest: {_nearest(learners, agents)}; or another code",
    )


def _nearest(learners: int, agents: int) -> str:
    """The closest sizes with the same agents, and with the same learners."""

    def fits(sizes: tuple[int, int]) -> bool:
        return 1 <= sizes[1] < sizes[0] and any(generator(code) is not None for code in candidates(*sizes))

    steps = range(1, NEAREST)
    more = next(filter(fits, ((learners + step, agents) for step in steps)), None)
    fewer = next(filter(fits, ((learners, agents - step) for step in steps)), None)
    return " and ".join(f"{found[0]} x {found[1]}" for found in (more, fewer) if found) or "none"


def _is_prime(number: int) -> bool:
    return all(number % divisor for divisor in range(2, int(number**0.5) + 1))
