"""Small tables, and models trained on them for a moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppr.methods.common.reading.tables.encoder import TableEncoder
from ppr.methods.common.running.run import Run
from ppr.methods.lds.config import TrainConfig
from ppr.methods.lds.learning.model import LdsModel
from ppr.methods.lds.tables.splits import stratified_split
from ppr.methods.lds.tables.table import Table
from ppr.methods.lds.train import train_on

QUICK: dict[str, Any] = {
    "k": [3],
    "metric": ["euclidean"],
    "outer_lr": [1.0],
    "inner_steps": 25,
    "outer_iterations": 2,
    "samples": 4,
}


def quick(**changes: Any) -> TrainConfig:
    """A configuration that takes a moment."""
    return TrainConfig(**(QUICK | changes))


def clusters(rows: int = 48, width: int = 4, apart: float = 1.5, seed: int = 0) -> Table:
    """Three clouds of points that overlap a little."""
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % 3
    centres = apart * rng.standard_normal((3, width))
    features = (centres[labels] + rng.standard_normal((rows, width))).astype(np.float32)
    return Table("clusters", [f"r{row}" for row in range(rows)], features, labels, ["a", "b", "c"], TableEncoder((), width, "none"))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "run").mkdir()
    return Run(tmp_path / "run")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., LdsModel]:
    """`trained(table, **configuration)` -> model, on the default split of seed 1."""

    def train(table: Table, **changes: Any) -> LdsModel:
        config = quick(**changes)
        split = stratified_split(table.labels, seed=config.seed, ids=table.ids)
        return train_on(table, split, config, Run(tmp_path_factory.mktemp("trained")))

    return train


@pytest.fixture(scope="session")
def model(trained: Callable[..., LdsModel]) -> LdsModel:
    """Trained on `clusters()`."""
    return trained(clusters())
