"""The entries of each family of codes (Wang et al. 2021, section III, and two that need less work for the same tolerance)."""

from __future__ import annotations

import logging

import numpy as np
from scipy.sparse import csr_array

from ...common.errors import UsageError
from ...common.random import numpy_generator
from ..config import FieldName
from . import reed_solomon
from .erasures import full_rank

LOG = logging.getLogger("ppr")
STREAM = 210
DENSITY = 0.8  # of random-sparse (paper: 0.8)
DRAWS = 100
MAX_DENSE = 1 << 25  # entries of a matrix of which most are not 0


def repeated(learners: int, agents: int, dtype: type) -> csr_array:
    """Learner j holds agent j mod M, with coefficient 1."""
    rows = np.arange(learners)
    return csr_array((np.ones(learners, dtype), (rows, rows % agents)), shape=(learners, agents))


def mds(learners: int, agents: int, field: FieldName, seed: int) -> csr_array:
    """Every M rows independent, no entry 0: a random matrix with orthonormal columns, or over GF(256) a Reed-Solomon code.

    The paper's real Vandermonde matrix has the same property in exact arithmetic, but loses its digits in floats: for 15 learners and 8
    agents the condition number of the received rows is 1e9 in the median (tests/methods/codedmarl/codes/test_decoding.py).
    """
    _refuse_dense("mds", learners, agents)
    if field == "gf256":
        return csr_array(reed_solomon.dense(learners, agents))
    drawn = numpy_generator(seed, learners, agents, STREAM).standard_normal((learners, agents))
    return csr_array(np.linalg.qr(drawn)[0])


def random_sparse(learners: int, agents: int, field: FieldName, seed: int) -> csr_array:
    """Each entry is there with probability 0.8: from the standard normal distribution, or an element of GF(256) (see `reed_solomon`).

    Raises:
        UsageError: a hundred draws had a row or a column of zeros or a deficient rank.
    """
    _refuse_dense("random-sparse", learners, agents)
    for draw in range(DRAWS):
        random = numpy_generator(seed, learners, agents, STREAM + 1 + draw)
        there = random.random((learners, agents)) < DENSITY
        if there.any(axis=0).all() and there.any(axis=1).all():
            matrix = reed_solomon.on_support(there, random) if field == "gf256" else there * random.standard_normal(there.shape)
            if matrix is not None and full_rank(matrix, np.ones((1, learners), bool))[0]:
                return csr_array(matrix)
        LOG.info("random-sparse: draw %d of seed %d had a row or column of zeros or a deficient rank; drawn again", draw + 1, seed)
    raise UsageError(
        f"random-sparse: none of {DRAWS} draws of {learners} x {agents} had full rank and no row of zeros", hint="take another code"
    )


def _refuse_dense(family: str, learners: int, agents: int) -> None:
    if learners * agents > MAX_DENSE:
        raise UsageError(
            f"{family} fills {learners} x {agents} entries, more than the {MAX_DENSE:,} that are kept in memory",
            hint="balanced, multi, ldpc and replication are sparse",
        )
