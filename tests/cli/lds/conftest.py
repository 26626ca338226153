"""Small tables for the commands of `ppr lds`, and a run trained on one."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppr.cli.main import run

#: Settings that make a training take a moment.
QUICK = (
    *("--k", "3", "--metric", "euclidean", "--outer-lr", "1", "--samples", "4"),
    *("--set", "outer_iterations=2", "--set", "inner_steps=20"),
)


def records(rows: int = 60, seed: int = 0) -> list[dict[str, Any]]:
    """Patients with two measurements, a colour, and a diagnosis that follows from them."""
    rng = np.random.default_rng(seed)
    found = []
    for row in range(rows):
        kind = row % 2
        x, y = rng.normal(3 * kind, 1, 2).round(3).tolist()
        found.append({"patient": f"p{row:02d}", "x": x, "y": y, "colour": ["red", "blue"][kind], "diagnosis": ["ill", "well"][kind]})
    return found


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def patients(tmp_path: Path) -> Path:
    """Sixty rows, all with a label."""
    return write_csv(tmp_path / "patients.csv", records())


@pytest.fixture
def some_unlabelled(tmp_path: Path) -> Path:
    """Sixty rows, of which the last ten have no label."""
    rows = records()
    for row in rows[50:]:
        row["diagnosis"] = ""
    return write_csv(tmp_path / "some.csv", rows)


@pytest.fixture
def edges(tmp_path: Path) -> Path:
    """A chain within each class, and three edges between the classes."""
    pairs = [{"source": f"p{row:02d}", "target": f"p{row + 2:02d}"} for row in range(58)]
    pairs += [{"source": f"p{row:02d}", "target": f"p{row + 1:02d}"} for row in (0, 20, 40)]
    return write_csv(tmp_path / "edges.csv", pairs)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on the sixty rows."""
    folder = tmp_path_factory.mktemp("lds")
    table = write_csv(folder / "patients.csv", records())
    arguments = [
        "lds",
        "train",
        table,
        "--label",
        "diagnosis",
        "--id",
        "patient",
        *QUICK,
        "--no-baselines",
        "--quiet",
        "--out",
        folder / "run",
    ]
    assert run([str(argument) for argument in arguments]) == 0
    return folder / "run"
