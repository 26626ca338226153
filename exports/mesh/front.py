"""Find the cells a surface passes through by following it: coarse seeds, bisection along sign changes, then a front over shared faces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .lattice import Floats, KeyMap, Keys, Lattice, Sampler, packed
from .marching import CORNERS, FACES, case_table, configurations

Indices = NDArray[np.int64]

_CORNER_STEPS = packed(CORNERS)
_FACE_STEPS = packed(FACES)
#: One coarse crossing in so many starts the front; the others are bisected only if the front did not come by. More would ask for
#: values off the surface, fewer would make many small waves.
_STARTERS = 8
_SEEDS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Cells:
    """Active cells: those whose corners are neither all inside nor all outside.

    Attributes:
        keys: int64 (n,) sorted.
        values: float32 (n, 8) at the corners, in the order of `marching.CORNERS`; -inf in the padding, and +-inf where a mode filled
            in a side without asking the field.
        waves: rounds of growth it took to find them; 0 without growth.
    """

    keys: Keys
    values: Floats
    waves: int = 0


class Corners:
    """Values at lattice corners, each asked for once; padding is -inf."""

    def __init__(self, lattice: Lattice, sampler: Sampler) -> None:
        self.lattice = lattice
        self.sampler = sampler
        self._known = KeyMap(lattice, np.float32, np.nan)
        self._seeds: tuple[NDArray[np.int64], Floats] | None = None

    def known(self, keys: Keys) -> Floats:
        """float32 values of the same shape as `keys`; NaN where none was asked for yet."""
        return self._known[keys]

    def values(self, keys: Keys, purpose: str = "front") -> Floats:
        """float32 values of the same shape as `keys`, asking for what is not known yet."""
        values = self._known[keys]
        unknown = np.isnan(values)
        if unknown.any():
            new, which = np.unique(keys[unknown], return_inverse=True)
            fetched = self._fetch(new, purpose)
            self._known[new] = fetched
            values[unknown] = fetched[which]
        return values

    def seed(self, axis: Indices) -> Floats:
        """Ask for the grid axis x axis x axis, as float32 (s, s, s).

        Seeds are remembered in an array of their own: scattered through the map, each would occupy a block of it.
        """
        shape = (len(axis),) * 3
        values = np.empty(len(axis) ** 3, np.float32)
        for start in range(0, len(values), _SEEDS_AT_ONCE):  # the coordinates of a fine grid would take many times its values
            part = np.arange(start, min(start + _SEEDS_AT_ONCE, len(values)))
            places = axis[np.stack(np.unravel_index(part, shape), axis=1)]
            values[part] = self.sampler(self.lattice.points(places), "seed")
        seeds = values.reshape(shape)
        place = np.full(self.lattice.resolution + 1, -1, np.int64)
        place[axis] = np.arange(len(axis))
        self._seeds = place, seeds
        return seeds

    def _fetch(self, keys: Keys, purpose: str) -> Floats:
        values = np.full(len(keys), -np.inf, np.float32)
        indices = self.lattice.indices(keys)
        inside = self.lattice.inside_box(indices)
        if self._seeds is not None:
            place, seeds = self._seeds
            at = place[np.where(inside[:, None], indices, 0)]
            seeded = inside & (at >= 0).all(axis=1)
            values[seeded] = seeds[tuple(at[seeded].T)]
            inside &= ~seeded
        values[inside] = self.sampler(self.lattice.points(indices[inside]), purpose)
        return values


class Front:
    """Grows over the active cells: behind a face whose four corners differ, the next cell is active too.

    So only corners of active cells are ever asked for, and every component of the surface that one start cell lies on is followed to
    its end.

    Args:
        values: keys (n, 8) -> float32 values there.
    """

    def __init__(self, lattice: Lattice, values: Callable[[Keys], Floats], level: float) -> None:
        self.lattice, self.level = lattice, level
        self._values = values
        self._visited = KeyMap(lattice, np.bool_, False)
        self._found: list[tuple[Keys, Floats]] = []

    def grow(self, start: Keys) -> None:
        """Follow the surface from the active cells `start`."""
        open_faces = case_table().open_faces
        wave = self._unvisited(start)
        while len(wave):
            self._visited[wave] = True
            values = self._values(wave[:, None] + _CORNER_STEPS)
            goes_on = open_faces[configurations(values > self.level)]
            self._found.append((wave, values))
            wave = self._unvisited((wave[:, None] + _FACE_STEPS)[goes_on])

    def cells(self) -> Cells:
        """All active cells met so far."""
        if not self._found:
            return Cells(np.empty(0, np.int64), np.empty((0, 8), np.float32))
        keys = np.concatenate([keys for keys, _values in self._found])
        values = np.concatenate([values for _keys, values in self._found])
        order = np.argsort(keys)
        return Cells(keys[order], values[order], len(self._found))

    def _unvisited(self, keys: Keys) -> Keys:
        return np.unique(keys[~self._visited[keys]])


@dataclass(frozen=True)
class Paths:
    """Walks over lattice edges from one side of the surface to the other: first along x, then y, then z.

    Attributes:
        start: int64 (m, 3) first corners.
        move: int64 (m, 3) signed steps along each axis to the last corners.
    """

    start: Indices
    move: Indices

    def __getitem__(self, which: slice | NDArray[np.bool_]) -> Paths:
        return Paths(self.start[which], self.move[which])

    @property
    def lengths(self) -> Indices:
        return np.abs(self.move).sum(axis=1)

    def at(self, steps: Indices) -> Indices:
        """int64 (m, ...) steps taken -> int64 (m, ..., 3) corners reached."""
        extra = (1,) * (steps.ndim - 1)
        length = np.abs(self.move).reshape(len(self.move), *extra, 3)
        before = np.cumsum(length, axis=-1) - length
        walked = np.clip(steps[..., None] - before, 0, length)
        return self.start.reshape(len(self.start), *extra, 3) + np.sign(self.move).reshape(length.shape) * walked


def follow(lattice: Lattice, sampler: Sampler, level: float, seed_axis: Indices, soft: float | None) -> Cells:
    """The active cells of every component of the surface that separates two neighbouring seed corners.

    Args:
        seed_axis: int64 (s,) increasing indices 0 to resolution of the seed corners along each axis.
        soft: also ask at the centre of seed cells whose largest corner is above this but not above `level`.
    """
    corners = Corners(lattice, sampler)
    seeds = corners.seed(seed_axis)
    paths = _crossings(seeds > level, seed_axis)
    if soft is not None:
        paths = _joined(paths, _soft_paths(corners, seeds, seed_axis, level, soft))
    front = Front(lattice, corners.values, level)
    front.grow(np.concatenate([_bisected(paths[::_STARTERS], corners, level), wall_cells(lattice, seeds > level, seed_axis)]))
    front.grow(_bisected(paths[~_met(paths, corners, level)], corners, level))
    return front.cells()


def seed_axis(resolution: int, seed_grid: int) -> Indices:
    """Indices of the seed corners along an axis: `seed_grid` + 1 of them, evenly spread, or all corners of a smaller lattice."""
    return np.round(np.linspace(0, resolution, min(seed_grid, resolution) + 1)).astype(np.int64)


def _crossings(inside: NDArray[np.bool_], axis: Indices) -> Paths:
    """The edges of the seed grid along which the sign changes."""
    starts, moves = [], []
    for along in range(3):
        flags = np.moveaxis(inside, along, 0)
        at = np.moveaxis(np.stack(np.nonzero(flags[1:] != flags[:-1]), axis=1), 1, 0)
        places = np.insert(at[1:], along, at[0], axis=0).T
        start = axis[places]
        move = np.zeros_like(start)
        move[:, along] = axis[places[:, along] + 1] - start[:, along]
        starts.append(start)
        moves.append(move)
    return Paths(np.concatenate(starts), np.concatenate(moves))


def _soft_paths(corners: Corners, seeds: Floats, axis: Indices, level: float, soft: float) -> Paths:
    """From the lowest corner of blurred seed cells, all outside, to their centres where these turn out to be inside."""
    highest = seeds
    for along in range(3):
        flags = np.moveaxis(highest, along, 0)
        highest = np.moveaxis(np.maximum(flags[1:], flags[:-1]), 0, along)
    places = np.stack(np.nonzero((highest > soft) & (highest <= level)), axis=1)
    start = axis[places]
    move = (axis[places + 1] - start) // 2
    within = corners.values(corners.lattice.keys(start + move), "seed") > level
    return Paths(start[within], move[within])


def _joined(first: Paths, second: Paths) -> Paths:
    return Paths(np.concatenate([first.start, second.start]), np.concatenate([first.move, second.move]))


def _bisected(paths: Paths, corners: Corners, level: float) -> Keys:
    """One active cell on each path, at a lattice edge whose two corners lie on different sides; the values are asked for in rounds."""
    lattice = corners.lattice
    inside = corners.values(lattice.keys(paths.start), "seed") > level
    low, high = np.zeros(len(paths.start), np.int64), paths.lengths
    while (wide := high - low > 1).any():
        middle = (low + high) // 2
        alike = inside[wide] == (corners.values(lattice.keys(paths[wide].at(middle[wide])), "seed") > level)
        low[wide] = np.where(alike, middle[wide], low[wide])
        high[wide] = np.where(alike, high[wide], middle[wide])
    return lattice.keys(np.minimum(paths.at(low), paths.at(high)))


def _met(paths: Paths, corners: Corners, level: float) -> NDArray[np.bool_]:
    """On which paths two neighbouring corners are known to lie on different sides: the front has been there."""
    met = np.zeros(len(paths.start), np.bool_)
    steps = np.arange(int(paths.lengths.max(initial=0)) + 1)
    for start in range(0, len(met), 4096):  # in parts, to keep (paths, steps) small
        part = paths[start : start + 4096]
        values = corners.known(corners.lattice.keys(part.at(np.broadcast_to(steps, (len(part.start), len(steps))))))
        both = ~np.isnan(values[:, 1:]) & ~np.isnan(values[:, :-1])
        met[start : start + 4096] = (both & ((values[:, 1:] > level) != (values[:, :-1] > level))).any(axis=1)
    return met


def wall_cells(lattice: Lattice, inside: NDArray[np.bool_], axis: Indices) -> Keys:
    """The padding cells behind seed corners that lie inside and on a wall of the box; none if all are inside, for want of a surface."""
    if inside.all():
        return np.empty(0, np.int64)
    places = np.stack(np.nonzero(inside), axis=1)
    corners = axis[places]
    low, high = corners == 0, corners == lattice.resolution
    on_wall = low.any(axis=1) | high.any(axis=1)
    # The cell at a corner's upper side begins at the corner itself, the one at its lower side one step before.
    return np.unique(lattice.keys((corners - low)[on_wall]))
