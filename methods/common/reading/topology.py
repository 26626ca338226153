"""Which faces share which edges and vertices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


@dataclass(frozen=True)
class Edges:
    """The edges of a mesh. Half-edge 3f + i runs from corner i of face f to the next one.

    Attributes:
        faces: int64 (E,) how many faces each edge belongs to.
        pairs: int64 (P, 2) the half-edges of those that belong to two.
        opposite: bool (P,) whether these two run in opposite directions.
    """

    faces: NDArray[np.int64]
    pairs: NDArray[np.int64]
    opposite: NDArray[np.bool_]

    @classmethod
    def of(cls, faces: NDArray[np.int64]) -> Edges:
        """The edges of int64 (F, 3) faces."""
        begins, ends = faces.reshape(-1), np.roll(faces, -1, axis=1).reshape(-1)
        keys = np.minimum(begins, ends) * (int(faces.max(initial=0)) + 1) + np.maximum(begins, ends)
        order = np.argsort(keys)
        starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
        counts = np.diff(starts, append=len(keys))
        first = starts[counts == 2]
        pairs = np.stack([order[first], order[first + 1]], axis=1)
        return cls(counts, pairs, begins[pairs[:, 0]] == ends[pairs[:, 1]])

    @property
    def closed(self) -> bool:
        """Whether every edge belongs to exactly two faces, which run along it in opposite directions."""
        return bool(len(self.faces)) and len(self.pairs) == len(self.faces) and bool(self.opposite.all())


def fans(faces: NDArray[np.int64], edges: Edges) -> int:
    """How many fans of faces there are around all vertices together.

    Two corners of faces belong to one fan if they are at the same vertex and their faces share a side there.
    """
    following = np.roll(np.arange(faces.size).reshape(-1, 3), -1, axis=1).reshape(-1)  # the corner that a half-edge ends at
    begins, ends = edges.pairs, following[edges.pairs]
    beside_begin = np.where(edges.opposite, ends[:, 1], begins[:, 1])
    beside_end = np.where(edges.opposite, begins[:, 1], ends[:, 1])
    links = np.concatenate([begins[:, 0], ends[:, 0]]), np.concatenate([beside_begin, beside_end])
    return int(connected(*links, faces.size).max(initial=-1)) + 1


def connected(rows: NDArray[np.int64], columns: NDArray[np.int64], count: int) -> NDArray[np.int32]:
    """(count,) numbers from 0 of the connected components of a graph."""
    if not count:
        return np.empty(0, np.int32)
    graph = coo_array((np.ones(len(rows), np.bool_), (rows.astype(np.int32), columns.astype(np.int32))), shape=(count, count))
    return connected_components(graph, directed=False)[1]
