"""Shapes to test on: real ones where they are at hand, and simple ones always."""

from __future__ import annotations

import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from .tables import COUNTS, chair, write_table


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


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    """Chairs of the bases 0 to 3, two of each; base 3 is held out."""
    rows = [chair(0.4 + 0.05 * index, 0.4, 0.5 - 0.03 * index, 0.08) for index in range(8)]
    return write_table(tmp_path_factory.mktemp("table") / "four.npz", rows, [0, 0, 1, 1, 2, 2, 3, 3])


@pytest.fixture
def points_file(tmp_path):
    """Twelve shapes in the authors' layout, without names; a shape's labels are random, so that only its own fit its points."""
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "points.hdf5", "w") as file:
        file.create_dataset("voxels", data=(rng.random((12, 64, 64, 64, 1)) < 0.1).astype(np.uint8))
        for level, count in COUNTS.items():
            cells = np.stack([rng.permutation(level**3)[:count] for _ in range(12)])
            file.create_dataset(f"points_{level}", data=np.stack(np.unravel_index(cells, (level,) * 3), -1).astype(np.uint8))
            file.create_dataset(f"values_{level}", data=rng.integers(0, 2, (12, count, 1), np.uint8))
        file.attrs["ppr"] = json.dumps({"unit": "R"})
    return tmp_path / "points.hdf5"
