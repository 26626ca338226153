"""Where the edge probabilities start, and whether what is learned of them fits into memory."""

from __future__ import annotations

import os
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ...common.errors import PprError, UsageError
from ...common.reading.pairs import PairGraph
from ...common.reading.tables.encoder import Matrix
from ..config import TrainConfig
from ..network import sparse_rows
from .neighbours import distinct_rows, knn_graph, require_neighbours
from .theta import AllPairs, CandidatePairs, Theta, candidate_graph

ALL_PAIRS_NODES = 500  # up to here `auto` learns every pair
AUTO_NEIGHBOURS = 50
BYTES_ALL_PAIRS = 24  # an entry of N x N: the matrix, its triangle and the search for what is above 0
BYTES_CANDIDATE = 260  # a pair: its number, order and two gathered rows of factors


def start_theta(
    raw: Matrix, graph: PairGraph | None, k: int | None, metric: str | None, config: TrainConfig, like: Tensor
) -> tuple[Theta, list[str]]:
    """Probabilities to start from: the given graph, or nearest neighbours; on all pairs or on candidates.

    Raises:
        UsageError: more neighbours than distinct rows, or the dense engine on candidates.
        PprError: not enough memory for the pairs asked for.
    """
    wanted = wanted_candidates(raw.shape[0], config)
    start, notes = start_graph(raw, graph, k, metric, config.seed)
    if wanted == "all":
        return AllPairs(start, dtype=like.dtype, device=like.device), notes
    within = min(wanted, len(distinct_rows(raw)[0]) - 1)
    near = knn_graph(raw, within, metric or "cosine", seed=config.seed)[0] if within else start
    candidates = candidate_graph(start, near, np.random.default_rng((config.seed, 7)))
    return CandidatePairs(candidates, dtype=like.dtype, device=like.device), notes


def wanted_candidates(count: int, config: TrainConfig) -> int | Literal["all"]:
    """The pairs that are learned of a table of `count` rows: all, or that many neighbours a row.

    Raises:
        UsageError: the dense engine, and not all pairs.
        PprError: not enough memory for them.
    """
    wanted = config.candidates
    if wanted == "auto":
        wanted = "all" if count <= ALL_PAIRS_NODES else AUTO_NEIGHBOURS
    if config.engine == "dense" and wanted != "all":
        raise UsageError(f"engine=dense learns all pairs, not {wanted} candidates a row", hint="--candidates all, or engine=factored")
    check_memory(count, wanted)
    return wanted


def check_start(raw: Matrix, graph: PairGraph | None, config: TrainConfig) -> None:
    """Refuse a grid of which some combination could not be started, before the first one is trained.

    Raises:
        UsageError: more neighbours than distinct rows, or the dense engine on candidates.
        PprError: not enough memory for the pairs asked for.
    """
    wanted_candidates(raw.shape[0], config)
    if graph is None:
        require_neighbours(len(distinct_rows(raw)[0]), max(config.k))


def start_graph(raw: Matrix, graph: PairGraph | None, k: int | None, metric: str | None, seed: int) -> tuple[PairGraph, list[str]]:
    """The given graph, or that of the k nearest neighbours, with notes about what was special.

    Raises:
        UsageError: more neighbours than rows.
    """
    if graph is not None:
        return graph, []
    assert k is not None and metric is not None
    return knn_graph(raw, k, metric, seed=seed)


def check_memory(count: int, candidates: int | Literal["all"]) -> None:
    """Refuse what cannot fit before it is allocated.

    Raises:
        PprError: with the estimate, and the setting that fits.
    """
    free = available_memory()
    needed = count * count * BYTES_ALL_PAIRS if candidates == "all" else count * candidates * BYTES_CANDIDATE
    if needed > 0.8 * free:
        fits = int(0.6 * free / (count * BYTES_CANDIDATE))
        advice = f"--candidates {min(fits, AUTO_NEIGHBOURS)}" if fits >= 1 else "take a sample of the rows"
        raise PprError(
            f"{candidates} candidates of {count:,} rows need about {needed / 1e9:,.1f} GB; {free / 1e9:.1f} GB are free", hint=advice
        )


def available_memory() -> float:
    """Bytes that can be allocated without swapping; where the system does not tell, the physical memory."""
    try:
        with open("/proc/meminfo", encoding="ascii") as stream:  # noqa: PTH123
            for line in stream:
                if line.startswith("MemAvailable:"):
                    return float(line.split()[1]) * 1024
    except OSError:
        pass
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) if hasattr(os, "sysconf") else float("inf")


def on_device(matrix: Matrix, device: str | torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """A NumPy or SciPy matrix as a dense or sparse CSR tensor."""
    if isinstance(matrix, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(matrix)).to(device, dtype)
    parts = torch.from_numpy(matrix.indptr.astype(np.int32)), torch.from_numpy(matrix.indices.astype(np.int32))
    return sparse_rows(*parts, torch.from_numpy(matrix.data).to(dtype), matrix.shape).to(device)
