"""Predictions for rows that were not there when the graph was learned.

A new row is joined to its nearest neighbours among the known rows; how probable such an edge is follows from what was learned for
pairs at that distance. The known rows see nothing of it, so that a row's prediction does not depend on which others come with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ...common.reading.tables.encoder import Matrix
from ..network import Features
from .model import LdsModel
from .neighbours import row_norms
from .start import on_device
from .theta import CandidatePairs

NEIGHBOURS, METRIC = 10, "cosine"  # where the graph was given, and no k and metric were chosen
BLOCK = 4096  # new rows at once


@dataclass(frozen=True)
class Attached:
    """Edges from new rows to known ones: neighbours int64 [M, k], nearest first, with distances and probabilities float32 [M, k]."""

    neighbours: NDArray[np.int64]
    distances: NDArray[np.float32]
    prob: NDArray[np.float32]


def pair_distances(one: Matrix, other: Matrix, metric: str) -> NDArray[np.float64]:
    """Distances between rows i of two matrices [n, d], float64 [n]."""
    if metric == "euclidean":
        return row_norms(one - other).astype(np.float64)
    product = one * other if isinstance(one, np.ndarray) else one.multiply(other)
    lengths = row_norms(one).astype(np.float64) * row_norms(other)
    return 1 - np.asarray(product.sum(1), np.float64).ravel() / np.maximum(lengths, 1e-12)


def attach(model: LdsModel, features: Matrix) -> Attached:
    """Join new rows [M, n] to the known ones.

    The probability of an edge is a falling (isotonic) function of distance, fitted to the learned probabilities of the pairs that the graph
    was started from.
    """
    from sklearn.isotonic import IsotonicRegression
    from sklearn.neighbors import NearestNeighbors

    metric, k = str(model.choice.get("metric") or METRIC), int(model.choice.get("k") or NEIGHBOURS)

    def nearest(rows: Matrix, metric: str) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
        search = NearestNeighbors(n_neighbors=min(k, len(model.ids)), metric=metric, algorithm="brute").fit(model.features)
        found = [search.kneighbors(rows[start : start + BLOCK]) for start in range(0, rows.shape[0], BLOCK)]
        distances, neighbours = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return distances, neighbours

    distances, neighbours = nearest(features, metric)
    empty = np.flatnonzero(row_norms(features) == 0)
    if metric == "cosine" and len(empty):
        # They have no direction: the nearest are found by length, and count as far as a right angle.
        neighbours[empty] = nearest(features[empty], "euclidean")[1]
    start = model.start
    if not len(start):
        return Attached(neighbours, distances.astype(np.float32), np.ones(neighbours.shape, np.float32))
    known = pair_distances(model.features[start.first], model.features[start.second], metric)
    curve = IsotonicRegression(y_min=0, y_max=1, increasing=False, out_of_bounds="clip").fit(known, learned_on_start(model))
    return Attached(
        neighbours.astype(np.int64),
        distances.astype(np.float32),
        curve.predict(distances.ravel()).reshape(distances.shape).astype(np.float32),
    )


def learned_on_start(model: LdsModel) -> NDArray[np.float32]:
    """The learned probability of each pair of the start graph, 0 where it was dropped, float32 [P]."""
    return model.graph.probability_of(model.start.first, model.start.second)


@torch.no_grad()
def predict_new(model: LdsModel, features: Matrix, *, seed: int = 0) -> tuple[NDArray[np.float32], Attached]:
    """Class probabilities of new rows [M, n], float32 [M, C], averaged over sampled graphs of the known rows; and the edges they got."""
    edges = attach(model, features)
    prob = torch.from_numpy(edges.prob)
    own = 1 / (1 + prob.sum(1))  # D^-1 of the new rows
    graphs, generator = CandidatePairs(model.graph), torch.Generator().manual_seed(seed)
    known, new = (
        Features(on_device(model.features, "cpu")) @ model.weights.first,
        Features(on_device(features, "cpu")) @ model.weights.first,
    )
    neighbours = torch.from_numpy(edges.neighbours)
    total = torch.zeros(len(new), len(model.classes))
    for _ in range(model.samples):
        adjacency = graphs.sample(generator)
        weight = prob * own.sqrt()[:, None] * adjacency.scale[neighbours]
        hidden = (adjacency @ known).relu() @ model.weights.second
        for start in range(0, len(new), BLOCK):
            rows = slice(start, start + BLOCK)
            first = (weight[rows, :, None] * known[neighbours[rows]]).sum(1) + own[rows, None] * new[rows]
            second = (weight[rows, :, None] * hidden[neighbours[rows]]).sum(1) + own[rows, None] * (first.relu() @ model.weights.second)
            total[rows] += second.softmax(1)
    return (total / model.samples).numpy(), edges
