"""Which points of a shape a network is trained on: the two schemes of IM-NET (section 4), at 16^3, 32^3 and 64^3.

Both concentrate on the surface. Points are distinct, and the same grid and seed give the same points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .voxels import Bool, max_pool, to_side

Scheme = Literal["improved", "paper"]
UInt8 = NDArray[np.uint8]

#: Points by level.
LIMITS: dict[Scheme, dict[int, int]] = {
    "paper": {16: 4096, 32: 8192, 64: 32768},
    "improved": {16: 4096, 32: 4096, 64: 16384},
}
#: The side of the grid that a scheme samples.
SOURCE_SIDE: dict[Scheme, int] = {"paper": 64, "improved": 256}
REACH = 3  # paper: a point counts as near the surface when the 7^3 voxels around it differ
STRIDE = 4  # improved: distance of cells that are visited one after the other


@dataclass(frozen=True)
class Samples:
    """Points uint8 [P, 3], as indices (x, y, z) on a grid, and their occupancy uint8 0/1 [P, 1]."""

    points: UInt8
    values: UInt8


def sample(occupied: Bool, scheme: Scheme, seed: int) -> dict[int, Samples]:
    """Sample a shape at every level.

    Args:
        occupied: bool [R, R, R]; resampled to the 64^3 (paper) or 256^3 (improved) that the scheme starts from.

    Returns:
        the samples by level: indices count on the level's own grid (paper) or on 256^3 (improved).
    """
    source = to_side(occupied, SOURCE_SIDE[scheme])
    drawn = {}
    for level, limit in LIMITS[scheme].items():
        rng = np.random.default_rng((seed, level))
        if scheme == "paper":
            drawn[level] = paper_samples(max_pool(source, len(source) // level), limit, rng)
        else:
            drawn[level] = improved_samples(source, level, limit, rng)
    return drawn


def paper_samples(occupied: Bool, limit: int, rng: np.random.Generator) -> Samples:
    """The scheme of 2019: voxel centres near the surface, and random ones up to `limit`.

    Near is a voxel whose 7^3 neighbourhood is not constant; the outermost three layers never are. If there are more than `limit` of
    them, every block of 2^3 gives one, an occupied one where there is one, and random voxels of the whole grid fill up.

    Args:
        occupied: the grid of the level, bool [R, R, R].
        limit: how many points, at most R^3.
    """
    near = varies(occupied, REACH)
    inside = np.zeros_like(near)
    inside[REACH:-REACH, REACH:-REACH, REACH:-REACH] = True
    near &= inside
    if np.count_nonzero(near) > limit:
        near = _one_of_each_block(near, occupied, rng)
    chosen = np.flatnonzero(near)
    others = np.flatnonzero(~near)
    filled = np.concatenate([chosen, rng.choice(others, max(limit - chosen.size, 0), replace=False)])[:limit]
    points = np.stack(np.unravel_index(filled, occupied.shape), axis=1)
    return Samples(points.astype(np.uint8), occupied.ravel()[filled, None].astype(np.uint8))


def _one_of_each_block(near: Bool, occupied: Bool, rng: np.random.Generator) -> Bool:
    """Of the near voxels in each block of 2^3 one is kept: a random one of the occupied, else of the empty."""
    preference = near * (1 + occupied) + near * rng.random(near.shape, np.float32) * np.float32(0.5)
    half = len(near) // 2
    blocks = preference.reshape(half, 2, half, 2, half, 2).transpose(0, 2, 4, 1, 3, 5).reshape(-1, 8)
    kept = np.zeros(blocks.shape, dtype=bool)
    kept[np.arange(len(blocks)), blocks.argmax(1)] = blocks.max(1) > 0
    return kept.reshape(half, half, half, 2, 2, 2).transpose(0, 3, 1, 4, 2, 5).reshape(near.shape)


def improved_samples(source: Bool, level: int, limit: int, rng: np.random.Generator) -> Samples:
    """The scheme of the authors' later code: in cells of level^3 at the surface, a voxel of the fine grid that has the cell's label.

    A cell is occupied if any of its fine voxels is. Cells whose 3^3 neighbourhood is not constant come first, in an order that visits
    every fourth along each axis before their neighbours; then random other cells. Each cell gives one point, so that all are distinct.

    Args:
        source: bool [256, 256, 256].
        limit: how many points, at most level^3.
    """
    cells = max_pool(source, len(source) // level)
    surface = varies(cells, 1).ravel()
    order = _interleaved(level)
    first = order[surface[order]]
    others = np.flatnonzero(~surface)
    visited = np.concatenate([first, rng.choice(others, max(limit - first.size, 0), replace=False)])[:limit]
    labels = cells.ravel()[visited]
    return Samples(_voxel_of_label(source, level, visited, labels, rng), labels[:, None].astype(np.uint8))


def _interleaved(level: int) -> NDArray[np.int64]:
    """All cells of level^3 as flat indices, those of equal remainders by four together."""
    quarter = level // STRIDE
    return np.arange(level**3).reshape(quarter, STRIDE, quarter, STRIDE, quarter, STRIDE).transpose(1, 3, 5, 0, 2, 4).ravel()


def _voxel_of_label(source: Bool, level: int, cells: NDArray[np.int64], labels: Bool, rng: np.random.Generator) -> UInt8:
    """For each cell a random fine voxel in it, of the inside ones where the cell is occupied; an empty cell has no others."""
    size = len(source) // level
    origin = np.stack(np.unravel_index(cells, (level,) * 3), axis=1)
    offset = rng.integers(size**3, size=len(cells))
    blocks = source.reshape(level, size, level, size, level, size).transpose(0, 2, 4, 1, 3, 5)
    inside = blocks[tuple(origin[labels].T)].reshape(-1, size**3)
    # A voxel's rank among the inside ones of its cell; the one of a random rank is wanted.
    rank = np.cumsum(inside, axis=1, dtype=np.int32)
    wanted = 1 + np.floor(rng.random(len(rank)) * rank[:, -1]).astype(np.int32)
    offset[labels] = (rank == wanted[:, None]).argmax(1)
    return (origin * size + np.stack(np.unravel_index(offset, (size,) * 3), axis=1)).astype(np.uint8)


def varies(occupied: Bool, reach: int) -> Bool:
    """Where the voxels up to `reach` away along each axis are not all alike; everything outside the grid counts as empty."""
    from scipy import ndimage

    size = 2 * reach + 1
    largest = ndimage.maximum_filter(occupied, size, mode="constant")
    return largest & ~ndimage.minimum_filter(occupied, size, mode="constant")
