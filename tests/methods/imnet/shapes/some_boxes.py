"""Boxes and points to test with."""

from __future__ import annotations

import numpy as np

from ppr.methods.imnet.shapes.boxes import BoxUnion


def random_rows(rng, count=4, lengths=(0.05, 0.5)):
    """Oriented boxes about the middle, as GRASS stores them."""
    rows = np.empty((count, 12))
    for row in rows:
        rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        row[:3], row[3:6], row[6:] = rng.uniform(-0.3, 0.3, 3), rng.uniform(*lengths, 3), rotation[:2].ravel()
    return rows


def cube_points(rng, count=2000):
    return rng.uniform(-0.6, 0.6, (count, 3)).astype(np.float32)


def one_box(lengths=(0.4, 0.3, 0.2), centre=(0.0, 0.0, 0.0)):
    return BoxUnion.from_rows(np.array([[*centre, *lengths, 1, 0, 0, 0, 1, 0]]))
