"""From active cells to vertices and triangles: one vertex a crossed edge, moved onto the level by a bracketed secant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .front import Cells
from .lattice import KeyMap, Keys, Lattice, Sampler, packed
from .marching import CORNERS, EDGE_CORNERS, configurations, triangulate

Doubles = NDArray[np.float64]

#: A vertex keeps this share of the box's side away from grid corners, so that the vertices around a corner stay apart in float32.
_CLEARANCE = 2.5e-7
#: A crossing is good enough once a secant step from it would move it by less than this share of a cell.
_NEGLIGIBLE = 1e-4


@dataclass(frozen=True)
class Surface:
    """A closed triangle surface.

    Attributes:
        vertices: float64 (V, 3) world coordinates.
        faces: int64 (F, 3) outward oriented.
        on_wall: bool (V,) vertices that close the surface on a wall of the box.
    """

    vertices: Doubles
    faces: NDArray[np.int64]
    on_wall: NDArray[np.bool_]


@dataclass(frozen=True)
class _Edges:
    """Crossed lattice edges: from corner `base` (E, 3) one step along `axis` (E,), values less the level at both ends as float64 (E,)."""

    base: NDArray[np.int64]
    axis: NDArray[np.int64]
    first: Doubles
    last: Doubles

    def positions(self, t: Doubles, which: slice | NDArray[np.int64] = slice(None)) -> Doubles:
        """Lattice coordinates (E, 3) of the points at `t` (0 first end, 1 last) on these edges."""
        places = self.base[which].astype(np.float64)
        places[np.arange(len(t)), self.axis[which]] += t
        return places

    def __getitem__(self, which: NDArray[np.bool_]) -> _Edges:
        return _Edges(self.base[which], self.axis[which], self.first[which], self.last[which])


def polygonise(lattice: Lattice, cells: Cells, level: float, sampler: Sampler, refine: int) -> Surface:
    """Triangulate active cells; cells that share an edge share its vertex, so the surface is closed if no active cell is missing.

    Where the surface leaves the box, the vertices lie on its wall.

    Args:
        refine: rounds of asking the field at every crossing that is not settled yet.
    """
    inside = cells.values > level
    edges, number = _edges(lattice, cells, level, inside)
    faces = triangulate(configurations(inside), _edge_vertices(lattice, cells, number))
    starts_inside = lattice.inside_box(edges.base)
    on_wall = ~(starts_inside & lattice.inside_box(edges.base + np.eye(3, dtype=np.int64)[edges.axis]))
    t = np.full(len(edges.axis), 0.5)  # between a value and a side that was filled in, for want of anything better
    t[on_wall] = np.where(starts_inside[on_wall], 0.0, 1.0)
    asked = np.isfinite(edges.first) & np.isfinite(edges.last)
    t[asked] = _crossings(lattice, edges[asked], level, sampler, refine)
    places = edges.positions(t)
    surface = Surface(lattice.low + places * lattice.step, faces, on_wall)
    return _closed_on_wall(surface, lattice.keys(np.rint(places[on_wall]).astype(np.int64))) if on_wall.any() else surface


def _edges(lattice: Lattice, cells: Cells, level: float, inside: NDArray[np.bool_]) -> tuple[_Edges, NDArray[np.int32]]:
    """The crossed edges, and int32 (n, 3) their numbers by cell and axis; every cell lists the three at its lowest corner.

    All cells around a crossed edge are active, so each edge is listed by the one that has it at its lowest corner.
    """
    ends = 1 << np.arange(3)
    crossed = inside[:, :1] != inside[:, ends]
    number = np.cumsum(crossed.reshape(-1)).reshape(crossed.shape) - 1
    cell, axis = np.nonzero(crossed)
    first, last = (cells.values[cell, corner].astype(np.float64) - level for corner in (0, ends[axis]))
    return _Edges(lattice.indices(cells.keys[cell]), axis, first, last), number.astype(np.int32)


def _edge_vertices(lattice: Lattice, cells: Cells, number: NDArray[np.int32]) -> NDArray[np.int32]:
    """int32 (n, 12) the vertex on each crossed edge of each cell, looked up at the cell that lists it."""
    places = KeyMap(lattice, np.int32, 0)
    places[cells.keys] = np.arange(len(cells.keys))
    lowest = EDGE_CORNERS[:, 0]
    owners = {corner: places[cells.keys + packed(CORNERS[corner])] for corner in np.unique(lowest)}
    return np.stack([number[owners[corner], edge // 4] for edge, corner in enumerate(lowest)], axis=1)


def _crossings(lattice: Lattice, edges: _Edges, level: float, sampler: Sampler, rounds: int) -> Doubles:
    """Where the field crosses the level on each edge, float64 (E,) in (0, 1).

    Linear interpolation first. Each round asks the field there and moves one end of the bracket: regula falsi with the Illinois rule, by
    which the value of an end that is kept twice counts half. It never leaves the bracket, bisects steps, and stays fast where the level
    is far from the middle of a blurred one. An edge is left alone once it has settled.
    """
    t = _secant(np.array([[0.0], [1.0]]), np.stack([edges.first, edges.last]))
    at, edge = t, np.arange(len(t))  # the next place to ask on each edge that has not settled
    ends = np.repeat([[0.0], [1.0]], len(t), axis=1)
    values = np.stack([edges.first, edges.last])
    weights = np.ones_like(values)
    previous = np.full(len(t), -1)
    for _round in range(rounds):
        value = sampler(lattice.points(edges.positions(at, edge)), "refine").astype(np.float64) - level
        side = ((value > 0) == (values[1] > 0)).astype(np.int64)
        every = np.arange(len(side))
        ends[side, every], values[side, every] = at, value
        weights[side, every] = 1.0
        weights[1 - side, every] *= np.where(side == previous, 0.5, 1.0)
        t[edge] = _secant(ends, values)
        open_ = np.abs(value) * (ends[1] - ends[0]) > _NEGLIGIBLE * np.abs(values[1] - values[0])
        edge, previous = edge[open_], side[open_]
        ends, values, weights = ends[:, open_], values[:, open_], weights[:, open_]
        at = _secant(ends, values * weights)
    clearance = _CLEARANCE * lattice.resolution
    return np.clip(t, clearance, 1 - clearance)


def _secant(ends: Doubles, values: Doubles) -> Doubles:
    """(2, E) ends and values of different signs there -> (E,) where the line through both is zero."""
    return ends[0] + (ends[1] - ends[0]) * values[0] / (values[0] - values[1])


def _closed_on_wall(surface: Surface, corners: Keys) -> Surface:
    """Make one vertex of all that lie on the same corner of the wall, and drop the triangles that this leaves without area.

    Args:
        corners: keys of the corners that the vertices on the wall lie on.
    """
    _keys, first, which = np.unique(corners, return_index=True, return_inverse=True)
    wall = np.flatnonzero(surface.on_wall)
    merged = np.arange(len(surface.vertices))
    merged[wall] = wall[first][which]
    faces = merged[surface.faces]
    faces = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
    used, faces = np.unique(faces, return_inverse=True)
    return Surface(surface.vertices[used], faces.reshape(-1, 3), surface.on_wall[used])
