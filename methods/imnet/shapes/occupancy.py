"""Which points are inside a mesh: generalised winding numbers, which also make sense for overlapping parts and slightly open surfaces.

A mesh is first moved and scaled so that its bounding box has its centre at 0 and a DIAGONAL of 1 (IM-NET's data, section 4): the shape then
keeps a distance from the border of the cube [-0.5, 0.5]^3.
"""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...common.errors import PprError
from ...common.reading.meshes import Mesh
from .voxels import Bool, fill_holes, repeat

Float = NDArray[np.float64]

CELLS = (8, 16, 32, 64)  # cells a side that are looked at before single voxels
BATCH = 1 << 20  # points a query
AMBIGUOUS = 0.25  # distance of a winding number from the nearest integer
WARN_SHARE = 0.005  # a closed mesh has hardly any ambiguous point

log = logging.getLogger("ppr")


@dataclass(frozen=True)
class Solid:
    """The inside of a mesh on a grid.

    Args:
        occupied: bool [R, R, R] at the centres of the voxels of [-0.5, 0.5]^3.
        ambiguous: share of the points at the surface whose winding number is more than 0.25 from an integer, or of the other sign than
            most; 0 for a closed mesh.
    """

    occupied: Bool
    ambiguous: float

    @property
    def doubtful(self) -> bool:
        """Whether the surface is so open, or crosses itself so much, that the inside is a guess in places."""
        return self.ambiguous > WARN_SHARE


def require_igl() -> Any:
    """The module igl.

    Raises:
        PprError: it cannot be imported, though it comes with ppr.
    """
    try:
        import igl
    except ImportError as error:
        reason = str(error).splitlines()[0][:120]
        raise PprError(f"libigl, which tells inside from outside, cannot be imported ({reason})", hint="pip install libigl") from error
    return igl


def normalise(mesh: Mesh) -> Mesh:
    """The mesh with its bounding box centred at 0 and a diagonal of 1.

    Raises:
        PprError: it has no faces, no extent, or a coordinate that is not finite.
    """
    used = mesh.vertices[np.unique(mesh.faces)].astype(np.float64) if len(mesh.faces) else np.zeros((0, 3))
    if not len(used):
        raise PprError("the mesh has no faces", hint="point clouds need a surface first")
    if not np.isfinite(used).all():
        raise PprError("a vertex of the mesh is not finite")
    low, high = used.min(0), used.max(0)
    diagonal = float(np.linalg.norm(high - low))
    if not 0 < diagonal < np.inf:
        raise PprError("all vertices of the mesh are the same point")
    return replace(mesh, vertices=(mesh.vertices - (low + high) / 2) / diagonal)


def winding_numbers(mesh: Mesh, points: NDArray[np.floating]) -> Float:
    """Generalised winding number of the surface around each point [N, 3] (fast approximation, within about 0.003).

    Raises:
        PprError: libigl cannot be imported.
    """
    igl = require_igl()
    vertices, faces = _arrays(mesh)
    batches = [points[start : start + BATCH].astype(np.float64) for start in range(0, len(points), BATCH)]
    return np.concatenate([np.empty(0), *(igl.fast_winding_number(vertices, faces, batch) for batch in batches)])


def mesh_occupancy(mesh: Mesh, points: NDArray[np.floating]) -> Bool:
    """Whether each point [N, 3] is inside; for a mesh whose faces all look inwards too.

    Raises:
        PprError: libigl cannot be imported.
    """
    return np.abs(winding_numbers(mesh, points)) > 0.5


def voxelise(mesh: Mesh, side: int = 256) -> Solid:
    """Occupancy at the centres of the voxels of [-0.5, 0.5]^3 by winding numbers.

    Cells are halved from 8^3 on where the surface may pass through them. All others are inside or outside as a whole, and their centre
    says which; where even the centre is ambiguous (an open surface), the cell is halved too, but not further than 64^3.

    Args:
        side: voxels a side, 16, 32, 64 or a multiple of 64 (64 and 256 in IM-NET).

    Raises:
        PprError: libigl cannot be imported.
    """
    surface = _Surface(mesh)
    counts = _cell_counts(side)
    cells = _children(np.zeros((1, 3), np.int64), counts[0])
    occupied = np.zeros((counts[0],) * 3, dtype=bool)
    for count, finer in itertools.pairwise([*counts, side]):
        winding = winding_numbers(mesh, _centres(cells, count))
        occupied[tuple(cells.T)] = np.abs(winding) > 0.5
        undecided = surface.touches(cells, count)
        if finer != side:
            undecided |= _is_ambiguous(winding)
        occupied, cells = repeat(occupied, finer // count), _children(cells[undecided], finer // count)
    winding = winding_numbers(mesh, _centres(cells, side))
    occupied[tuple(cells.T)] = np.abs(winding) > 0.5
    return Solid(occupied, float(_is_ambiguous(winding).mean()) if len(winding) else 0.0)


def flood(mesh: Mesh, side: int = 256) -> Solid:
    """Everything that cannot be reached from outside, and the voxels that the surface touches (the paper's own way, section 4).

    For meshes whose faces look anywhere (ModelNet): holes wider than a voxel leak, and the shape grows by almost a voxel.

    Args:
        side: as for `voxelise`.

    Raises:
        PprError: libigl cannot be imported.
    """
    surface = _Surface(mesh)
    counts = _cell_counts(side)
    cells = _children(np.zeros((1, 3), np.int64), counts[0])
    for count, finer in itertools.pairwise([*counts, side]):
        cells = _children(cells[surface.touches(cells, count)], finer // count)
    shell = np.zeros((side,) * 3, dtype=bool)
    shell[tuple(cells[surface.touches(cells, side)].T)] = True
    return Solid(fill_holes(shell)[0], 0.0)


def check(solid: Solid, where: str, *, strict: bool) -> None:
    """Say what is doubtful about a solid.

    Raises:
        PprError: there is no inside at all; with `strict`, any doubt.
    """
    if not solid.occupied.any():
        raise PprError(
            f"{where}: no point is inside the surface", hint="the mesh is an open sheet, or thinner than a voxel; close it first"
        )
    if not solid.doubtful:
        return
    doubt = f"{where}: inside and outside are ambiguous for {100 * solid.ambiguous:.1f} % of the points at the surface"
    if strict:
        raise PprError(doubt, hint="the surface is open or crosses itself; close it, or leave out --strict")
    log.warning("%s (an open surface, or one that crosses itself)", doubt)


def _is_ambiguous(winding: Float) -> Bool:
    """Far from an integer, or of the sign that fewer points have: parts that look inwards cancel those that look outwards."""
    majority = 1.0 if np.count_nonzero(winding > 0.5) >= np.count_nonzero(winding < -0.5) else -1.0
    return (np.abs(winding - np.round(winding)) > AMBIGUOUS) | (winding * majority < -0.5)


class _Surface:
    """Where a surface is, for cells of [-0.5, 0.5]^3."""

    def __init__(self, mesh: Mesh) -> None:
        self.arrays = _arrays(mesh)
        self.tree = require_igl().AABB()
        self.tree.init(*self.arrays)

    def touches(self, cells: NDArray[np.int64], count: int) -> Bool:
        """Whether the surface may pass through each cell [N, 3] of count^3: it is no farther from the centre than a corner."""
        if not len(cells):
            return np.zeros(0, dtype=bool)
        corner = np.sqrt(3) / (2 * count)
        batches = [cells[start : start + BATCH] for start in range(0, len(cells), BATCH)]
        return np.concatenate([self.tree.squared_distance(*self.arrays, _centres(b, count))[0] <= corner**2 * 1.001 for b in batches])


def _cell_counts(side: int) -> list[int]:
    counts = [count for count in CELLS if count < side]
    if not counts or side % counts[-1]:
        raise ValueError(f"{side} is not a multiple of the cells {CELLS} below it")
    return counts


def _children(cells: NDArray[np.int64], factor: int) -> NDArray[np.int64]:
    """The factor^3 cells into which each of the cells [N, 3] falls, [N * factor^3, 3]."""
    offsets = np.array(list(itertools.product(range(factor), repeat=3)), np.int64)
    return (cells[:, None] * factor + offsets).reshape(-1, 3)


def _centres(cells: NDArray[np.int64], count: int) -> Float:
    return (cells + 0.5) / count - 0.5


def _arrays(mesh: Mesh) -> tuple[Float, NDArray[np.int64]]:
    return np.ascontiguousarray(mesh.vertices, np.float64), np.ascontiguousarray(mesh.faces, np.int64)
