"""Small tables of box unions."""

from __future__ import annotations

import numpy as np

#: Points a level of the file `points_file`.
COUNTS = {16: 30, 32: 40, 64: 50}


def chair(seat, height, back, thick):
    """Rows of a chair of six boxes."""
    half, legs = seat / 2 - thick / 2, height / 2
    rows = [[0, height, 0, seat, thick, seat], [0, height + back / 2, -half, seat, back, thick]]
    rows += [[x, legs, z, thick, height, thick] for x in (-half, half) for z in (-half, half)]
    return np.array([[*row, 1, 0, 0, 0, 1, 0] for row in rows], np.float32)


def write_table(path, rows, bases):
    np.savez(path, boxes=np.stack(rows), n=np.full(len(rows), 6), base=np.array(bases))
    return path
