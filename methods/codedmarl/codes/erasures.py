"""Sets of received rows, many at a time: whether they have full rank, and how well they are conditioned."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import gf256

MAX_SETS = 200_000
MAX_WORK = 1e9  # sets x rows x columns^2 that are enumerated: a few seconds
CHUNK_NUMBERS = 1 << 21  # of the matrices that are looked at together
MAX_OUTER = 1 << 23  # numbers of all rows' outer products
CLEAR = 1e-10  # ratio of eigenvalues of the Gram matrix above which rounding cannot have hidden a deficient rank
EPS = float(np.finfo(np.float64).eps)

Received = NDArray[np.bool_]


def enumerable(rows: int, columns: int, erased: int) -> bool:
    """Whether all erasures of that many of the rows can be looked at."""
    sets = math.comb(rows, erased)
    return sets <= MAX_SETS and sets * rows * columns**2 <= MAX_WORK


@lru_cache(maxsize=8)
def all_received(rows: int, erased: int) -> Received:
    """What is received in each of the C(rows, erased) erasures, read-only bool [sets, rows]."""
    sets = math.comb(rows, erased)
    lost = np.fromiter(itertools.chain.from_iterable(itertools.combinations(range(rows), erased)), np.int64, sets * erased)
    received = np.ones((sets, rows), bool)
    np.put_along_axis(received, lost.reshape(sets, erased), False, axis=1)
    received.flags.writeable = False
    return received


def drawn_received(rows: int, erased: int, sets: int, random: np.random.Generator) -> Received:
    """So many random erasures, bool [sets, rows]."""
    received = np.ones((sets, rows), bool)
    for row in received:
        row[random.choice(rows, erased, replace=False)] = False
    return received


def equilibrated(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows scaled to unit norm; rows of zeros stay."""
    scaled = matrix / _or_one(np.abs(matrix).max(axis=-1, keepdims=True))
    return scaled / _or_one(np.linalg.norm(scaled, axis=-1, keepdims=True))


def _or_one(scale: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(scale > 0, scale, 1.0)


def full_rank(matrix: NDArray[Any], received: Received) -> NDArray[np.bool_]:
    """Whether the received rows of a matrix [N, M] have rank M, for each of the sets [B, N] -> [B].

    Bytes are elements of GF(256). Real rows are scaled to unit norm, and count as dependent where the least singular value is rounding.
    """
    support = matrix != 0
    possible = ~(received.astype(np.float32) @ support.astype(np.float32) == 0).any(axis=1)
    possible &= (received & support.any(axis=1)).sum(axis=1) >= matrix.shape[1]
    for part in _chunks(np.flatnonzero(possible), matrix):
        if matrix.dtype == np.uint8:
            possible[part] = gf256.full_rank(matrix * received[part, :, None])
        else:
            possible[part] = _full_rank_real(matrix, received[part])
    return possible


def _full_rank_real(matrix: NDArray[Any], received: Received) -> NDArray[np.bool_]:
    rows, full = equilibrated(matrix), np.zeros(len(received), bool)
    if has_small_gram(*rows.shape):
        eigenvalues = _gram_eigenvalues(rows, received)
        full = eigenvalues[:, 0] > CLEAR * eigenvalues[:, -1]
    unclear = np.flatnonzero(~full)
    values = np.linalg.svd(rows * received[unclear, :, None], compute_uv=False)
    full[unclear] = values[:, -1] > max(rows.shape) * EPS * values[:, 0]
    return full


def conditions(matrix: NDArray[np.float64], received: Received) -> NDArray[np.float64]:
    """The condition number of the received rows, scaled to unit norm, for each of the sets [B, N] -> [B]; inf without full rank."""
    rows = equilibrated(matrix)
    found = np.full(len(received), np.inf)
    for part in _chunks(np.flatnonzero(full_rank(matrix, received)), matrix):
        values = np.linalg.svd(rows * received[part, :, None], compute_uv=False)
        found[part] = values[:, 0] / values[:, -1]
    return found


def approximate_conditions(rows: NDArray[np.float64], received: Received) -> NDArray[np.float64]:
    """The same from the eigenvalues of the Gram matrix of rows of unit norm: some times faster, and right up to about 1e6."""
    eigenvalues = _gram_eigenvalues(rows, received)
    return np.sqrt(eigenvalues[:, -1] / np.maximum(eigenvalues[:, 0], EPS * eigenvalues[:, -1]))


def has_small_gram(rows: int, columns: int) -> bool:
    """Whether the outer products of the rows fit."""
    return rows * columns**2 <= MAX_OUTER


def _gram_eigenvalues(rows: NDArray[np.float64], received: Received) -> NDArray[np.float64]:
    columns = rows.shape[1]
    squares = (rows[:, :, None] * rows[:, None, :]).reshape(len(rows), columns**2)
    grams = (received.astype(np.float64) @ squares).reshape(-1, columns, columns)
    return np.linalg.eigvalsh(grams).astype(np.float64, copy=False)


def _chunks(indices: NDArray[np.int64], matrix: NDArray[np.generic]) -> Iterator[NDArray[np.int64]]:
    size = max(1, CHUNK_NUMBERS // matrix.size)
    for start in range(0, len(indices), size):
        yield indices[start : start + size]
