"""What a segment of LDS costs: tau inner steps, the hypergradient through them, and the step on the probabilities."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from math import nan
from typing import Literal

import numpy as np
import scipy.sparse
import torch

from ..common.measuring.memory import forget_peak, peak_memory
from ..common.reading.pairs import PairGraph
from ..common.reading.tables.encoder import Matrix
from .config import TrainConfig
from .learning.hypergradient import Labelled, State
from .learning.start import on_device, start_theta
from .network import Features, Weights
from .train import Choice, Nodes, Search

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


def measure(case: Case, kind: Kind, repeats: int) -> Cost:
    """The cost of one kind, in a process of its own, so that what others allocated does not count."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measure, case, kind, repeats).result()


def _measure(case: Case, kind: Kind, repeats: int) -> Cost:
    torch.set_num_threads(case.threads)
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
    forget_peak()
    before, seconds, pairs = peak_memory() or nan, [], len(theta.graph()) if kind == "candidates" else theta.nodes * (theta.nodes - 1) // 2
    for _ in range(repeats + 1):
        started = time.perf_counter()
        state, steps, _loss = search.segment(State.start(weights), case.tau, generator)
        search.outer_step(steps, state, generator)
        seconds.append(time.perf_counter() - started)
    return Cost(float(np.median(seconds[1:])), (peak_memory() or nan) - before, pairs)
