"""The active cells of a grid whose every corner is asked for: slow, and the measure of the other modes."""

from __future__ import annotations

import numpy as np

from ppr.methods.common.errors import UsageError

from .front import Cells
from .lattice import Floats, Keys, Lattice, Sampler
from .marching import CORNERS

MAX_RESOLUTION = 512


def scan(lattice: Lattice, sampler: Sampler, level: float) -> Cells:
    """All active cells, found plane by plane, so that only two planes of values are held.

    Raises:
        UsageError: a resolution above 512.
    """
    if lattice.resolution > MAX_RESOLUTION:
        corners = (lattice.resolution + 1) ** 3
        raise UsageError(
            f"a dense grid of resolution {lattice.resolution} has {corners:,} corners ({4 * corners / 2**30:.1f} GiB of values)",
            hint=f"the sparse mode gives the same mesh; dense works up to {MAX_RESOLUTION}",
        )
    found: list[tuple[Keys, Floats]] = []
    below = _plane(lattice, sampler, -1)
    for x in range(-1, lattice.resolution + 1):
        above = _plane(lattice, sampler, x + 1)
        found.append(_active(lattice, np.stack([below, above]), x, level))
        below = above
    return Cells(np.concatenate([keys for keys, _values in found]), np.concatenate([values for _keys, values in found]))


def _plane(lattice: Lattice, sampler: Sampler, x: int) -> Floats:
    """float32 (N + 3, N + 3) values at the corners of index x along the first axis, with padding around them."""
    values = np.full((lattice.resolution + 3,) * 2, -np.inf, np.float32)
    if 0 <= x <= lattice.resolution:
        axis = np.arange(lattice.resolution + 1)
        corners = np.stack(np.meshgrid([x], axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
        values[1:-1, 1:-1] = sampler(lattice.points(corners), "front").reshape(len(axis), len(axis))
    return values


def _active(lattice: Lattice, planes: Floats, x: int, level: float) -> tuple[Keys, Floats]:
    """Keys and corner values of the active cells between two neighbouring planes, (2, N + 3, N + 3)."""
    inside = planes > level
    columns = inside.sum(axis=0, dtype=np.uint8)
    count = columns[1:, 1:] + columns[1:, :-1] + columns[:-1, 1:] + columns[:-1, :-1]
    y, z = np.nonzero((count > 0) & (count < 8))
    values = planes[CORNERS[:, 0], y[:, None] + CORNERS[:, 1], z[:, None] + CORNERS[:, 2]]
    return lattice.keys(np.stack([np.full_like(y, x), y - 1, z - 1], axis=1)), values
