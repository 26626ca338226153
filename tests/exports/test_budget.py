"""What extraction asks for on real chairs, beside the least that any way to the same cells must ask for."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from ppr.exports.mesh.extract import Extracted, Extraction, extract
from ppr.exports.mesh.marching import CORNERS
from ppr.methods.imnet.data import BUNDLED
from ppr.methods.imnet.shapes.boxes import load_boxes

SEED_CORNERS = 33**3


@functools.cache
def chairs(resolution: int, mode: str = "sparse") -> list[Extracted]:
    """Nine bundled chairs of different structures."""
    table = load_boxes(BUNDLED)
    settings = Extraction(resolution=resolution, level=0.0, mode=mode, refine=0, keep="all")  # type: ignore[arg-type]
    return [extract(table[row].depth, settings) for row in range(0, len(table), 277)]


def least(found: Extracted) -> int:
    """The corners of the active cells, and the seed corners, each counted once."""
    resolution = found.stats.resolution
    corners = (found.cells[:, None] + CORNERS).reshape(-1, 3)
    corners = corners[((corners >= 0) & (corners <= resolution)).all(axis=1)]
    corners = corners[(corners % (resolution // 32) != 0).any(axis=1)]  # the others are seed corners
    return len(np.unique(corners @ [1 << 24, 1 << 12, 1])) + SEED_CORNERS


@pytest.mark.parametrize(("resolution", "ratio"), [(128, 28), pytest.param(256, 85, marks=pytest.mark.slow)])
def test_chairs_are_found_with_hardly_more_values_than_any_way_must_ask_for(resolution, ratio):
    found = chairs(resolution)
    for chair in found:
        assert chair.stats.queries <= 1.002 * least(chair)
    assert (resolution + 1) ** 3 / np.mean([chair.stats.queries for chair in found]) >= ratio


@pytest.mark.slow
def test_mise_asks_for_more_and_finds_less():
    sparse, mise = chairs(256), chairs(256, "mise")
    assert sum(chair.stats.queries for chair in mise) >= 1.2 * sum(chair.stats.queries for chair in sparse)
    assert all(len(fewer.cells) <= len(chair.cells) for fewer, chair in zip(mise, sparse, strict=True))
