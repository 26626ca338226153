"""Shapes to test on: real ones where they are at hand, and simple ones always."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def imnet_data() -> Path:
    """Real test data, which are not part of the package: $PPR_TEST_DATA/../imnet, or ../shared/data/imnet beside the repository."""
    default = Path(__file__).parents[4] / "shared/data/saliency"
    folder = Path(os.environ.get("PPR_TEST_DATA", default)).parent / "imnet"
    if not (folder / "official_samplechair_vox.hdf5").is_file():
        pytest.skip("no real imnet data (set PPR_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def stool() -> np.ndarray:
    """A stool, bool [64, 64, 64]: a seat with a hollow in it, and four legs. No two axes of it are alike."""
    grid = np.zeros((64, 64, 64), bool)
    grid[18:46, 36:42, 22:40] = True
    grid[30:34, 38:40, 30:33] = False
    for x in (18, 42):
        for z in (22, 36):
            grid[x : x + 4, 10:36, z : z + 4] = True
    return grid
