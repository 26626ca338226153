"""What several tests of distributed training share: learners that can import the toy computation, and one Ray cluster for all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def importable() -> Iterator[Path]:
    """Learners' processes find the tests' modules whatever the folder pytest was started in."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ROOT) if before is None else f"{ROOT}{os.pathsep}{before}"
    sys.path.insert(0, str(ROOT))
    yield ROOT
    sys.path.remove(str(ROOT))
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="session")
def ray_cluster(importable: Path) -> Iterator[None]:
    """A small cluster of this process."""
    pytest.importorskip("ray")
    import ray

    from ppr.methods.codedmarl.learners import ray_cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_cluster, "OBJECT_STORE", ray_cluster.SMALLEST_STORE)
        assert ray_cluster.connect("local")
    yield
    ray.shutdown()
