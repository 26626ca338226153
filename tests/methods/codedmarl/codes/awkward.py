"""Matrices of the ugly sort, for the tests of decodability."""

from __future__ import annotations

import numpy as np

from ppr.methods.codedmarl import naive


def awkward_matrix(learners: int, agents: int, kind: str, random: np.random.Generator) -> np.ndarray:
    """Sparse, with copies, multiples, sums and rows of zeros; of full rank."""
    while True:
        matrix = random.integers(-2, 3, (learners, agents)).astype(float)
        if kind == "sparse":
            matrix *= random.random(matrix.shape) < 0.4
        if kind == "copies":
            spoilt = random.permutation(learners)[: learners - agents]  # as many as can be done without
            for place, row in enumerate(spoilt):
                one, other = matrix[random.integers(learners, size=2)]
                matrix[row] = (-3 * one, one + other, 0 * one)[place % 3]
        if kind == "scales":
            matrix *= 10.0 ** random.integers(-8, 9, (learners, 1))
        if naive.rank(matrix) == agents:
            return matrix
