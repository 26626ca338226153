"""Marching cubes whose case table is worked out, not typed in: which triangles separate the inside from the outside corners of a cell.

Corner c of a cell lies at (c & 1, c >> 1 & 1, c >> 2) from its lowest corner. Edge e runs along axis e // 4 from corner EDGE_CORNERS[e, 0]
to EDGE_CORNERS[e, 1]. A configuration is a byte whose bit c says that corner c is inside.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

#: (8, 3) offsets of a cell's corners from its lowest one.
CORNERS: Ints = np.array([[c & 1, c >> 1 & 1, c >> 2] for c in range(8)], np.int64)
#: (12, 2) the two corners of each edge, the lower one first; edges 0-3 run along x, 4-7 along y, 8-11 along z.
EDGE_CORNERS: Ints = np.array([(c, c | 1 << axis) for axis in range(3) for c in range(8) if not c >> axis & 1], np.int64)
#: (6, 3) offset to the cell behind each face: -x, +x, -y, +y, -z, +z.
FACES: Ints = np.array([[side if axis == along else 0 for axis in range(3)] for along in range(3) for side in (-1, 1)], np.int64)

_EDGE_OF = {frozenset((int(a), int(b))): edge for edge, (a, b) in enumerate(EDGE_CORNERS)}


def _face_cycle(along: int, side: int) -> list[int]:
    """The four corners of a face, counter-clockwise as seen from outside the cell."""
    u, v = 1 << (along + 1) % 3, 1 << (along + 2) % 3
    cycle = [base | (1 << along if side > 0 else 0) for base in (0, u, u | v, v)]
    return cycle if side > 0 else cycle[::-1]


_FACE_CYCLES = [_face_cycle(along, side) for along in range(3) for side in (-1, 1)]
_FACE_EDGES = [[_EDGE_OF[frozenset((cycle[i], cycle[(i + 1) % 4]))] for i in range(4)] for cycle in _FACE_CYCLES]
#: Pairs of edges that lie in one face: a triangle's side between them lies in that face too.
_COPLANAR = {frozenset(pair) for edges in _FACE_EDGES for pair in combinations(edges, 2)}
_MIDDLES = CORNERS[EDGE_CORNERS].mean(axis=1)
_LENGTHS = np.linalg.norm(_MIDDLES[:, None] - _MIDDLES[None], axis=2).tolist()


@dataclass(frozen=True)
class CaseTable:
    """What each of the 256 configurations looks like.

    Attributes:
        starts: int64 (257,) configuration c has the triangles starts[c] to starts[c + 1].
        triangles: int64 (T, 3) edges of the cell that a triangle's corners lie on, outward oriented.
        open_faces: bool (256, 6) whether the surface goes on behind a face, that is, whether its four corners differ.
    """

    starts: Ints
    triangles: Ints
    open_faces: NDArray[np.bool_]


@functools.cache
def case_table() -> CaseTable:
    """The table for all configurations; built on the first call (some milliseconds)."""
    cases = [[triangle for loop in loops(case) for triangle in _fan(loop)] for case in range(256)]
    starts = np.concatenate([[0], np.cumsum([len(case) for case in cases])]).astype(np.int64)
    triangles = np.array([triangle for case in cases for triangle in case], np.int64)
    counts = (np.arange(256)[:, None, None] >> np.array(_FACE_CYCLES)[None] & 1).sum(axis=2)
    return CaseTable(starts, triangles, (counts > 0) & (counts < 4))


def loops(case: int) -> Iterator[list[int]]:
    """The closed polygons in which the surface meets the faces of a cell, as lists of edges, outward oriented.

    On every face, a run of neighbouring inside corners is cut off by one segment; so on an ambiguous face (two opposite corners inside)
    the inside corners are separated. The rule looks at that face's corners alone: both cells at a face draw the same segments, in
    opposite directions, and a surface made of such cells is closed whatever the signs are. Every crossed edge begins one segment and
    ends one, because its two faces run along it in opposite directions.
    """
    following: dict[int, int] = {}
    for cycle, edges in zip(_FACE_CYCLES, _FACE_EDGES, strict=True):
        inside = [case >> corner & 1 for corner in cycle]
        for first in range(4):
            if inside[first] and not inside[first - 1]:  # a run of inside corners begins here
                last = next(i for i in range(first, first + 4) if not inside[(i + 1) % 4])
                following[edges[first - 1]] = edges[last % 4]
    while following:
        start, edge = following.popitem()
        loop = [start]
        while edge != start:
            loop.append(edge)
            edge = following.pop(edge)
        yield loop


def _fan(loop: list[int]) -> list[tuple[int, int, int]]:
    """Cut a polygon of cell edges into triangles.

    A diagonal that lies in a face of the cell could be drawn by the neighbour as well, and four triangles would share it; so the fewest
    such diagonals come first, and the shortest ones second. Best cut of each run of corners, from short runs to long (dynamic programming).
    """
    count = len(loop)
    best: dict[tuple[int, int], tuple[int, float]] = {(i, i + 1): (0, 0.0) for i in range(count - 1)}
    apex: dict[tuple[int, int], int] = {}
    for span in range(2, count):
        for i in range(count - span):
            k = i + span
            closing = (i, k) == (0, count - 1)
            flat = 0 if closing else int(frozenset((loop[i], loop[k])) in _COPLANAR)
            length = 0.0 if closing else _LENGTHS[loop[i]][loop[k]]
            cuts = {j: (best[i, j][0] + best[j, k][0], best[i, j][1] + best[j, k][1]) for j in range(i + 1, k)}
            apex[i, k] = min(cuts, key=cuts.__getitem__)
            flats, total = cuts[apex[i, k]]
            best[i, k] = (flats + flat, total + length)

    def cut(i: int, k: int) -> list[tuple[int, int, int]]:
        if k - i < 2:
            return []
        j = apex[i, k]
        return [(loop[i], loop[j], loop[k]), *cut(i, j), *cut(j, k)]

    return cut(0, count - 1)


def configurations(inside: NDArray[np.bool_]) -> Bytes:
    """bool (n, 8) inside flags of the corners -> uint8 (n,) configurations."""
    return np.packbits(inside, axis=1, bitorder="little")[:, 0]


def triangulate(cases: Bytes, edge_vertices: NDArray[np.integer[Any]]) -> Ints:
    """The triangles of many cells.

    Args:
        cases: uint8 (n,) configurations.
        edge_vertices: integer (n, 12) which vertex lies on each edge of each cell; read only for crossed edges.

    Returns:
        int64 (T, 3) vertices of the triangles, cell by cell; normals point out of the inside.
    """
    table = case_table()
    counts = np.diff(table.starts)[cases]
    cell = np.repeat(np.arange(len(cases)), counts)
    rank = np.arange(len(cell)) - np.repeat(np.cumsum(counts) - counts, counts)
    edges = table.triangles[table.starts[cases[cell]] + rank]
    return edge_vertices[cell[:, None], edges].astype(np.int64)
