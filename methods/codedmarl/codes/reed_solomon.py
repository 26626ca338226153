"""Codes over GF(256) whose tolerance is proven by counting zeros of polynomials: Reed-Solomon codes and their sparse subcodes.

Learner j is an element a_j of the field, agent i a polynomial f_i of degree at most D that is zero at the learners without the agent, and
the entry is f_i(a_j). A combination of agents is a polynomial of degree at most D. If the f_i are independent it is not 0, has at most D
zeros, and is seen by any D + 1 learners: N - 1 - D lost ones are survived, and no code with these supports survives more.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import gf256

ORDERS = 10  # of the elements that are tried


def dense(learners: int, agents: int) -> gf256.Bytes:
    """f_i = x^i at the powers of the primitive element: tolerance N - M, no entry 0. uint8 [learners, agents]."""
    return gf256.EXP[np.outer(np.arange(learners), np.arange(agents)) % 255]


def on_support(held: NDArray[np.bool_], random: np.random.Generator) -> gf256.Bytes | None:
    """Entries that are 0 exactly where `held` [N, M] is False, N at most 255: uint8 [N, M] of tolerance `tolerance_of(held)`.

    None where no tried order of the elements makes the polynomials independent, as on supports that a set of agents is crowded on.
    """
    learners, agents = held.shape
    degree = learners - 1 - tolerance_of(held)
    for _ in range(ORDERS):
        elements = gf256.EXP[random.permutation(255)[:learners]]
        logs = gf256.LOG[elements[:, None] ^ elements] @ ~held  # of an element from itself LOG gives any number: that entry is 0 below
        matrix = np.where(held, gf256.EXP[logs % 255], 0).astype(np.uint8)
        for agent in range(agents):
            spare = degree - int((~held[:, agent]).sum())
            matrix[:, agent] = gf256.PRODUCT[matrix[:, agent], _without_zeros(spare, elements, held[:, agent], random)]
        if gf256.rank(matrix) == agents:
            return matrix
    return None


def _without_zeros(degree: int, elements: gf256.Bytes, held: NDArray[np.bool_], random: np.random.Generator) -> gf256.Bytes:
    """The values of a random polynomial of at most this degree that is not 0 at the elements that `held` marks, [N]."""
    while True:
        values = np.zeros(len(elements), np.uint8)
        for coefficient in random.integers(0, 256, degree + 1, np.uint8):
            values = gf256.PRODUCT[values, elements] ^ coefficient
        if values[held].all():
            return values


def tolerance_of(held: NDArray[np.bool_]) -> int:
    """The lost learners that entries on this support survive at most: no more than N - M, and than leave each agent one learner."""
    learners, agents = held.shape
    return min(learners - agents, int(held.sum(axis=0).min()) - 1)
