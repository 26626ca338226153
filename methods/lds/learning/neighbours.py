"""Nearest-neighbour graphs: where the edge probabilities start, and where candidate pairs come from."""

from __future__ import annotations

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from ...common.errors import PprError, UsageError
from ...common.reading.pairs import PairGraph
from ...common.reading.tables.encoder import Matrix

EXACT_NODES = 20_000  # above, exact search takes minutes, and an approximate one seconds


def knn_graph(features: Matrix, k: int, metric: str, *, seed: int = 0) -> tuple[PairGraph, list[str]]:
    """The graph in which two nodes are joined where either is among the k nearest neighbours of the other.

    Copies of one row do not take each other's places among the k: neighbours are sought between distinct rows, and a copy has those of
    the row it is a copy of, and that row itself.

    Args:
        features: [N, n], dense or CSR.
        metric: cosine or euclidean; rows of length 0, which have no direction, are compared by euclidean distance under cosine too.

    Returns:
        the graph with probability 1 on each pair, and notes about what was special.

    Raises:
        UsageError: k is not below the number of distinct rows.
        PprError: a large table, and pynndescent is not installed.
    """
    distinct, place = distinct_rows(features)
    require_neighbours(len(distinct), k)
    neighbours, notes = nearest(features[distinct], k, metric, seed=seed)
    if len(distinct) < features.shape[0]:
        notes.append(f"{features.shape[0] - len(distinct)} rows are copies of others; they share the neighbours of the row they copy")
    first, second = np.repeat(np.arange(features.shape[0]), k), distinct[neighbours[place]].ravel()
    copies = np.flatnonzero(distinct[place] != np.arange(features.shape[0]))
    return PairGraph.build(features.shape[0], np.concatenate([first, copies]), np.concatenate([second, distinct[place[copies]]])), notes


def require_neighbours(distinct: int, k: int) -> None:
    """Refuse a k that is not below the number of distinct rows.

    Raises:
        UsageError: with a k that is.
    """
    if k >= distinct:
        raise UsageError(f"k = {k}: there are only {distinct} distinct rows", hint=f"--k {max(1, min(10, distinct - 1))}")


def distinct_rows(features: Matrix) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the first of each set of equal rows, ascending, and for each row the position in them of the one it equals."""
    if scipy.sparse.issparse(features):
        matrix = scipy.sparse.csr_matrix(features, copy=True)
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        keys = [
            matrix.indices[a:b].tobytes() + matrix.data[a:b].tobytes() for a, b in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True)
        ]
        seen: dict[bytes, int] = {}
        representative = np.array([seen.setdefault(key, row) for row, key in enumerate(keys)], np.int64)
    else:
        rows = np.ascontiguousarray(features + features.dtype.type(0))  # -0 and 0 are one number
        _, index, inverse = np.unique(
            rows.view([("", np.void, rows.dtype.itemsize * rows.shape[1])]).ravel(), return_index=True, return_inverse=True
        )
        representative = index[inverse.ravel()]
    distinct, place = np.unique(representative, return_inverse=True)
    return distinct.astype(np.int64), place.astype(np.int64)


def nearest(features: Matrix, k: int, metric: str, *, seed: int = 0) -> tuple[NDArray[np.int64], list[str]]:
    """Each row's k nearest other rows, int64 [N, k], nearest first; rows must be distinct.

    Raises:
        PprError: more than 20,000 rows, and pynndescent is not installed.
    """
    notes: list[str] = []
    if features.shape[0] > EXACT_NODES:
        return _approximate(features, k, metric, seed), notes
    from sklearn.neighbors import NearestNeighbors

    found = NearestNeighbors(n_neighbors=k, metric=metric, algorithm="brute").fit(features).kneighbors(return_distance=False)
    if metric == "cosine":
        empty = np.flatnonzero(row_norms(features) == 0)
        if len(empty):
            notes.append(f"{len(empty)} rows are all 0 and have no direction; their neighbours are found by euclidean distance")
            others = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(features).kneighbors(features[empty], return_distance=False)
            for row, candidates in zip(empty, others, strict=True):
                found[row] = candidates[candidates != row][:k]
    return found.astype(np.int64), notes


def row_norms(features: Matrix) -> NDArray[np.float32]:
    """Euclidean length of each row, float32 [N]."""
    squared = np.square(features).sum(1) if isinstance(features, np.ndarray) else features.multiply(features).sum(1)
    return np.sqrt(np.asarray(squared, np.float32).ravel())


def _approximate(features: Matrix, k: int, metric: str, seed: int) -> NDArray[np.int64]:
    try:
        from pynndescent import NNDescent
    except ImportError as error:
        raise PprError(f"neighbours among {features.shape[0]:,} rows need pynndescent", hint="pip install 'ppr[lds]'") from error
    import torch

    threads = torch.get_num_threads()
    found = NNDescent(features, metric=metric, n_neighbors=k + 1, random_state=seed).neighbor_graph[0]
    torch.set_num_threads(threads)  # numba has set OpenMP's number of threads, which is torch's too
    # A row is its own nearest neighbour, nearly always in the first place; where it is missing, the farthest goes.
    own = found == np.arange(len(found))[:, None]
    own[~own.any(1), -1] = True
    return found[~own].reshape(len(found), k).astype(np.int64)
