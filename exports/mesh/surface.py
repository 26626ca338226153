"""From active cells to vertices and triangles: one vertex a crossed edge, moved onto the level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .crossings import CrossedEdges, Doubles, cross
from .front import Cells
from .lattice import KeyMap, Keys, Lattice, Sampler, packed
from .marching import CORNERS, EDGE_CORNERS, configurations, triangulate


@dataclass(frozen=True)
class Surface:
    """A closed triangle surface.

    Attributes:
        vertices: float64 (V, 3) world coordinates.
        faces: int64 (F, 3) outward oriented.
        on_wall: bool (V,) vertices that close the surface on a wall of the box.
        normals: float64 (V, 3) outward, of any length, where they came along with the values that moved the vertices; NaN elsewhere.
    """

    vertices: Doubles
    faces: NDArray[np.int64]
    on_wall: NDArray[np.bool_]
    normals: Doubles


def polygonise(lattice: Lattice, cells: Cells, level: float, sampler: Sampler, refine: int) -> Surface:
    """Triangulate active cells; cells that share an edge share its vertex, so the surface is closed if no active cell is missing.

    Where the surface leaves the box, the vertices lie on its wall.

    Args:
        refine: rounds of asking the field at every crossing that has not settled yet.
    """
    inside = cells.values > level
    edges, number = _edges(lattice, cells, level, inside)
    faces = triangulate(configurations(inside), _edge_vertices(lattice, cells, number))
    starts_inside = lattice.inside_box(edges.base)
    on_wall = ~(starts_inside & lattice.inside_box(edges.base + np.eye(3, dtype=np.int64)[edges.axis]))
    t = np.full(len(edges.axis), 0.5)  # between a value and a side that was filled in, for want of anything better
    t[on_wall] = np.where(starts_inside[on_wall], 0.0, 1.0)
    asked = np.isfinite(edges.first) & np.isfinite(edges.last)
    normals = np.full((len(t), 3), np.nan)
    t[asked], normals[asked] = cross(lattice, edges[asked], level, sampler, refine)
    places = edges.positions(t)
    surface = Surface(lattice.low + places * lattice.step, faces, on_wall, normals)
    return _closed_on_wall(surface, lattice.keys(np.rint(places[on_wall]).astype(np.int64))) if on_wall.any() else surface


def _edges(lattice: Lattice, cells: Cells, level: float, inside: NDArray[np.bool_]) -> tuple[CrossedEdges, NDArray[np.int32]]:
    """The crossed edges, and int32 (n, 3) their numbers by cell and axis; every cell lists the three at its lowest corner.

    All cells around a crossed edge are active, so each edge is listed by the one that has it at its lowest corner.
    """
    ends = 1 << np.arange(3)
    crossed = inside[:, :1] != inside[:, ends]
    number = np.cumsum(crossed.reshape(-1)).reshape(crossed.shape) - 1
    cell, axis = np.nonzero(crossed)
    first, last = (cells.values[cell, corner].astype(np.float64) - level for corner in (0, ends[axis]))
    return CrossedEdges(lattice.indices(cells.keys[cell]), axis, first, last), number.astype(np.int32)


def _edge_vertices(lattice: Lattice, cells: Cells, number: NDArray[np.int32]) -> NDArray[np.int32]:
    """int32 (n, 12) the vertex on each crossed edge of each cell, looked up at the cell that lists it."""
    places = KeyMap(lattice, np.int32, 0)
    places[cells.keys] = np.arange(len(cells.keys))
    lowest = EDGE_CORNERS[:, 0]
    owners = {corner: places[cells.keys + packed(CORNERS[corner])] for corner in np.unique(lowest)}
    return np.stack([number[owners[corner], edge // 4] for edge, corner in enumerate(lowest)], axis=1)


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
    return Surface(surface.vertices[used], faces.reshape(-1, 3), surface.on_wall[used], surface.normals[used])
