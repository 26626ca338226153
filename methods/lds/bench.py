"""What a segment of LDS costs: tau inner steps, the hypergradient through them, and the step on the probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from typing import Any, Literal

import numpy as np
import scipy.sparse
import torch

from ..common.measuring.cores import torch_threads
from ..common.measuring.memory import forget_peak, peak_memory
from ..common.measuring.timing import in_fresh_process, repeat
from ..common.reading.pairs import PairGraph
from ..common.reading.tables.encoder import Matrix
from .config import TrainConfig
from .learning.hypergradient import Labelled, State
from .learning.outcome import Choice
from .learning.start import on_device, start_theta
from .network import Features, Weights
from .search import Nodes, Search

Kind = Literal["candidates", "all", "dense"]
KINDS: tuple[Kind, ...] = ("candidates", "all", "dense")


@dataclass(frozen=True)
class Case:
    """What is timed: features [N, n], labels int64 [N] below `classes`, a graph, tau, candidates a node, and threads."""

    features: Matrix
    labels: np.ndarray
    classes: int
    graph: PairGraph
    tau: int
    candidates: int
    threads: int


@dataclass(frozen=True)
class Cost:
    """Median seconds of a segment, what the process grew by in MB (10^6 bytes) while it worked, and how many pairs were learned."""

    seconds: float
    megabytes: float
    pairs: int


def synthetic(rows: int, columns: int, seed: int = 0) -> tuple[Matrix, np.ndarray, int, PairGraph]:
    """A sparse table with a graph, by default of Cora's size and density: features [N, n] CSR, labels int64 [N], classes, graph."""
    rng, classes = np.random.default_rng(seed), 7
    labels = rng.integers(0, classes, rows)
    features = scipy.sparse.random_array((rows, columns), density=0.0127, format="csr", dtype=np.float32, rng=rng)
    features = scipy.sparse.csr_matrix(features)
    first = np.repeat(np.arange(rows), 2)
    return features, labels, classes, PairGraph.build(rows, first, rng.integers(0, rows, 2 * rows))


@dataclass(frozen=True)
class Compared:
    """One kind's cost, and as how many times that of the candidates; a memory ratio only where the candidates grew at all."""

    kind: Kind
    cost: Cost
    seconds_ratio: float
    megabytes_ratio: float | None


def compare(case: Case, repeats: int, advance: Callable[[], object] = lambda: None) -> list[Compared]:
    """All kinds, one after the other.

    Args:
        advance: called after each.
    """
    costs: dict[Kind, Cost] = {}
    for kind in KINDS:
        costs[kind] = measure(case, kind, repeats)
        advance()
    base = costs["candidates"]
    return [
        Compared(kind, cost, cost.seconds / base.seconds, cost.megabytes / base.megabytes if base.megabytes else None)
        for kind, cost in costs.items()
    ]


def measure(case: Case, kind: Kind, repeats: int) -> Cost:
    """The cost of one kind, in a process of its own, so that what others allocated does not count."""
    return in_fresh_process(cost_here, case, kind, repeats).result


def cost_here(case: Case, kind: Kind, repeats: int) -> Cost:
    """The cost of one kind in this process."""
    with torch_threads(case.threads):
        return _cost(case, kind, repeats)


def _cost(case: Case, kind: Kind, repeats: int) -> Cost:
    candidates, engine = case.candidates if kind == "candidates" else "all", "dense" if kind == "dense" else "factored"
    config = TrainConfig.model_validate({"candidates": candidates, "engine": engine, "grow_every": 0})
    features = Features(on_device(case.features, "cpu"))
    rows = np.random.default_rng(0).permutation(len(case.labels))[: 3 * 140]
    parts = [Labelled(torch.from_numpy(part), torch.from_numpy(case.labels[part])) for part in np.split(rows, 3)]
    nodes = Nodes(features, case.classes, *parts)
    theta, _notes = start_theta(case.features, case.graph, None, None, config, features.like)
    search = Search(nodes, theta, Choice(None, None, case.tau, 0.1), config, 0)
    generator = torch.Generator().manual_seed(0)
    weights = Weights.glorot(features.shape[1], config.hidden, case.classes, generator, features.like)
    pairs = len(theta.graph()) if kind == "candidates" else theta.nodes * (theta.nodes - 1) // 2

    kept: list[Any] = []  # as in a search, what a segment made is there until the next one is done

    def segment() -> None:
        kept[:] = state, steps, _loss = search.segment(State.start(weights), case.tau, generator)
        search.outer_step(steps, state, generator)

    forget_peak()
    before = peak_memory() or nan
    timing = repeat(segment, repeats)
    return Cost(timing.median, (peak_memory() or nan) - before, pairs)
