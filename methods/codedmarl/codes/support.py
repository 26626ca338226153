"""Which learner holds which agent: supports in which every agent has s + 1 learners and the work is even.

For an erasure of any s learners to leave all agents decodable, any set A of agents needs at least |A| + s learners between them (Hall).
With coefficients in general position that is enough.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array, hstack
from scipy.sparse.csgraph import maximum_bipartite_matching

Support = NDArray[np.bool_]


def cyclic(learners: int, agents: int, tolerance: int) -> csr_array:
    """Agent i with the learners floor(i N / M) + 0..s modulo N: surplus s, and weights ceil or floor of M(s + 1)/N.

    Any set of agents starts at as many places, which the s places that follow each extend by at least s (or to all N). As many starts as
    in one window of s + 1 places are in any other, give or take one.

    Returns:
        0/1 float64 [learners, agents].
    """
    first = np.arange(agents) * learners // agents
    rows = (first[:, None] + np.arange(tolerance + 1)) % learners
    held = np.repeat(np.arange(agents), tolerance + 1)
    return csr_array((np.ones(rows.size), (rows.ravel(), held)), shape=(learners, agents))


def drawn(learners: int, agents: int, tolerance: int, random: np.random.Generator) -> Support:
    """Every agent with s + 1 learners drawn among those with most room left, bool [learners, agents]. Its surplus may be less than s."""
    room, extra = np.full(learners, agents * (tolerance + 1) // learners), agents * (tolerance + 1) % learners
    room[random.permutation(learners)[:extra]] += 1
    held = np.zeros((learners, agents), bool)
    for agent in random.permutation(agents):
        chosen = np.lexsort((random.random(learners), -room))[: tolerance + 1]
        held[chosen, agent] = True
        room[chosen] -= 1
    return held


def shuffled(entries: csr_array, random: np.random.Generator) -> csr_array:
    """The same support with its learners in random order, so that neighbours do not hold the same agents."""
    return csr_array(entries[random.permutation(entries.shape[0])])


def surplus(entries: csr_array) -> int:
    """The least of |learners of A| - |A| over all sets A of agents; negative where the support has no full rank.

    It is how many lost learners are survived whatever they are, if coefficients are in general position, and the most that any others
    survive. With further copies of agent i, as many agents and copies can be matched with learners of their own as M and the least
    surplus of the sets with i allow (Lovasz and Plummer, Matching Theory, 1.3); that is less than the learners of i.
    """
    graph = csc_array(csr_array((np.ones(entries.nnz, np.int8), entries.indices, entries.indptr), shape=entries.shape))
    learners, agents = graph.shape
    if _matching(graph) < agents:
        return -1
    degrees = np.diff(graph.indptr)
    least = learners - agents
    for agent in np.argsort(degrees, kind="stable"):
        copies = min(least, int(degrees[agent]) - 1)
        least = min(least, _matching(hstack([graph, *[graph[:, [agent]]] * copies], format="csc")) - agents)
    return least


def term_rank(entries: csr_array) -> int:
    """The rank of the support with coefficients in general position."""
    return _matching(entries)


def _matching(graph: csr_array | csc_array) -> int:
    return int((maximum_bipartite_matching(csr_array(graph)) >= 0).sum())


def proven(learners: int, agents: int, tolerance: int, random: np.random.Generator, draws: int) -> Iterator[csr_array]:
    """Supports of surplus s: those among so many drawn ones that have it, and then the cyclic one."""
    for _ in range(draws):
        found = csr_array(drawn(learners, agents, tolerance, random).astype(np.float64))
        if surplus(found) >= tolerance:
            yield found
    yield shuffled(cyclic(learners, agents, tolerance), random)
