"""Small inputs for the commands of `ppr imnet`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def voxels(tmp_path: Path) -> Path:
    """A table as a 64^3 .npy: a board on four legs."""
    grid = np.zeros((64, 64, 64), bool)
    grid[14:50, 34:38, 14:50] = True
    for x in (14, 46):
        for z in (14, 46):
            grid[x : x + 4, 14:34, z : z + 4] = True
    path = tmp_path / "table.npy"
    np.save(path, grid)
    return path


@pytest.fixture
def fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a Python module of implicit functions, which is the current one."""
    (tmp_path / "some_fields.py").write_text(
        "import numpy as np\n"
        "def sphere(p): return .3 - np.linalg.norm(p, axis=1)\n"
        "def torus(p): return np.hypot(np.hypot(p[:, 0], p[:, 2]) - .3, p[:, 1]) - .1\n"
        "def empty(p): return np.full(len(p), .25, np.float32)\n"
        "def broken(p): return p[:, 7]\n"
        "def column(p): return sphere(p)[:, None]\n"
        "NUMBER = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path
