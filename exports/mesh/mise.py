"""Multiresolution isosurface extraction as Occupancy Networks do it (Mescheder et al. 2019, section 3.3), for comparison.

Only cells whose corners straddle the level are subdivided, and nothing follows the surface: what falls between the corners of the first
grid is lost, and where a part leaves the cells that were found it ends in a wall.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppr.methods.common.errors import UsageError

from .front import Cells, Corners, Front, wall_cells
from .lattice import Floats, Keys, Lattice, Sampler
from .marching import CORNERS

#: (27, 3) corners of a cell's eight children, in units of their side.
_GRANDCORNERS = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


@dataclass(frozen=True)
class _Round:
    """Cells of one size: all that were looked at, and those of them that were subdivided, as sorted keys of their lowest corners."""

    side: int
    looked_at: Keys
    divided: Keys


def subdivide(lattice: Lattice, sampler: Sampler, level: float, start: int) -> Cells:
    """The active cells of the field as MISE sees it: asked at the corners it visits, constant in cells it did not subdivide.

    Args:
        start: cells a side of the first grid.

    Raises:
        UsageError: the resolution is not `start` times a power of two.
    """
    side, remainder = divmod(lattice.resolution, start)
    if remainder or side & (side - 1):
        raise UsageError(
            f"mise reaches resolution {lattice.resolution} from a grid of {start} only by doubling",
            hint=f"choose {start}, {2 * start}, {4 * start}, … or another seed grid",
        )
    corners = Corners(lattice, sampler)
    axis = np.arange(0, lattice.resolution + 1, side)
    seeds = corners.seed(axis)
    cells = np.stack(np.meshgrid(axis[:-1], axis[:-1], axis[:-1], indexing="ij"), axis=-1).reshape(-1, 3)
    rounds: list[_Round] = []
    while True:
        inside = corners.values(lattice.keys(cells[:, None] + side * CORNERS), "front") > level
        mixed = inside.any(axis=1) & ~inside.all(axis=1)
        keys = lattice.keys(cells)
        rounds.append(_Round(side, np.sort(keys), np.sort(keys[mixed])))
        if side == 1:
            break
        side //= 2
        cells = (cells[mixed][:, None] + side * CORNERS).reshape(-1, 3)
    front = Front(lattice, _Filled(corners, rounds[:-1], level).values, level)
    front.grow(np.concatenate([rounds[-1].divided, wall_cells(lattice, seeds > level, axis)]))
    return front.cells()


class _Filled:
    """Corner values, with those that were never asked for replaced by the side (+-inf) of the cell they lie in."""

    def __init__(self, corners: Corners, rounds: list[_Round], level: float) -> None:
        self._corners, self._rounds, self._level = corners, rounds, level

    def values(self, keys: Keys) -> Floats:
        values = self._corners.known(keys)
        unknown = np.isnan(values)
        values[unknown] = self._filled(keys[unknown])
        return values

    def _filled(self, keys: Keys) -> Floats:
        """The side of the smallest undivided cell that each corner lies in or on."""
        lattice = self._corners.lattice
        indices = lattice.indices(keys)
        values = np.full(len(keys), -np.inf, np.float32)
        todo = lattice.inside_box(indices)
        for round_ in reversed(self._rounds):
            for offset in CORNERS:  # a corner on a face, an edge or a corner of a cell lies in its neighbours too
                cell = (indices - offset) // round_.side * round_.side
                keys = lattice.keys(cell)
                here = todo & lattice.inside_box(cell) & _is_among(keys, round_.looked_at) & ~_is_among(keys, round_.divided)
                values[here] = np.where(self._corners.values(keys[here]) > self._level, np.inf, -np.inf)
                todo &= ~here
        return values


def _is_among(keys: Keys, among: Keys) -> NDArray[np.bool_]:
    """Which keys occur in a sorted array."""
    if not len(among):
        return np.zeros(len(keys), np.bool_)
    return among[np.minimum(np.searchsorted(among, keys), len(among) - 1)] == keys
