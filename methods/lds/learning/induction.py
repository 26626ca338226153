"""Predictions for rows that were not there when the graph was learned.

A new row is joined to its nearest neighbours among the known rows; how probable such an edge is follows from what was learned for
pairs at that distance. The known rows see nothing of it, so that a row's prediction does not depend on which others come with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from ...common.reading.tables.encoder import Matrix
from ..network import Features
from .model import LdsModel
from .neighbours import row_norms
from .start import on_device
from .theta import CandidatePairs

if TYPE_CHECKING:
    from sklearn.isotonic import IsotonicRegression
    from sklearn.neighbors import NearestNeighbors

#: Of a sampled graph of the known rows: D^-1/2 [N], and what their hidden layer hands on, [N, C].
Layer: TypeAlias = tuple[torch.Tensor, torch.Tensor]
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


class Induction:
    """Joins new rows to a learned graph and predicts them; what does not depend on the new rows is made once."""

    def __init__(self, model: LdsModel) -> None:
        self.model = model
        self.metric = str(model.choice.get("metric") or METRIC)
        self.k = min(int(model.choice.get("k") or NEIGHBOURS), len(model.ids))
        self._searches: dict[str, NearestNeighbors] = {}
        self._layers: tuple[int, list[Layer]] | None = None

    def attach(self, features: Matrix) -> Attached:
        """Join new rows [M, n] to the known ones.

        The probability of an edge is a falling (isotonic) function of distance, fitted to the learned probabilities of the pairs that the
        graph was started from.
        """
        distances, neighbours = self._nearest(features, self.metric)
        empty = np.flatnonzero(row_norms(features) == 0)
        if self.metric == "cosine" and len(empty):
            # They have no direction: the nearest are found by length, and count as far as a right angle.
            neighbours[empty] = self._nearest(features[empty], "euclidean")[1]
        if self._curve is None:
            prob = np.ones(neighbours.shape, np.float32)
        else:
            prob = self._curve.predict(distances.ravel()).reshape(distances.shape).astype(np.float32)
        return Attached(neighbours.astype(np.int64), distances.astype(np.float32), prob)

    @torch.no_grad()
    def __call__(self, features: Matrix, *, seed: int = 0) -> tuple[NDArray[np.float32], Attached]:
        """Class probabilities of new rows [M, n], float32 [M, C], averaged over sampled graphs of the known rows; and their edges."""
        edges, weights = self.attach(features), self.model.weights
        prob = torch.from_numpy(edges.prob)
        own = 1 / (1 + prob.sum(1))  # D^-1 of the new rows
        new = Features(on_device(features, "cpu")) @ weights.first
        neighbours = torch.from_numpy(edges.neighbours)
        total = torch.zeros(len(new), len(self.model.classes))
        for scale, hidden in self._sampled(seed):
            weight = prob * own.sqrt()[:, None] * scale[neighbours]
            for start in range(0, len(new), BLOCK):
                rows = slice(start, start + BLOCK)
                first = (weight[rows, :, None] * self._known[neighbours[rows]]).sum(1) + own[rows, None] * new[rows]
                second = (weight[rows, :, None] * hidden[neighbours[rows]]).sum(1) + own[rows, None] * (first.relu() @ weights.second)
                total[rows] += second.softmax(1)
        return (total / self.model.samples).numpy(), edges

    @cached_property
    def _known(self) -> torch.Tensor:
        """The known rows after the first weights, [N, hidden]."""
        return Features(on_device(self.model.features, "cpu")) @ self.model.weights.first

    @cached_property
    def _curve(self) -> IsotonicRegression | None:
        """From the distance of a pair to its probability; None where there was no pair to learn it from."""
        from sklearn.isotonic import IsotonicRegression

        start, features = self.model.start, self.model.features
        if not len(start):
            return None
        known = pair_distances(features[start.first], features[start.second], self.metric)
        return IsotonicRegression(y_min=0, y_max=1, increasing=False, out_of_bounds="clip").fit(known, learned_on_start(self.model))

    def _nearest(self, rows: Matrix, metric: str) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
        """Distances and numbers of the known rows nearest to each of `rows`, [M, k] each."""
        from sklearn.neighbors import NearestNeighbors

        if metric not in self._searches:
            self._searches[metric] = NearestNeighbors(n_neighbors=self.k, metric=metric, algorithm="brute").fit(self.model.features)
        found = [self._searches[metric].kneighbors(rows[start : start + BLOCK]) for start in range(0, rows.shape[0], BLOCK)]
        distances, neighbours = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return distances, neighbours

    def _sampled(self, seed: int) -> list[Layer]:
        """What new rows see of each sampled graph; those of the last seed are kept."""
        if self._layers is None or self._layers[0] != seed:
            graphs, generator = CandidatePairs(self.model.graph), torch.Generator().manual_seed(seed)
            adjacencies = (graphs.sample(generator) for _ in range(self.model.samples))
            found = [(one.scale, (one @ self._known).relu() @ self.model.weights.second) for one in adjacencies]
            self._layers = seed, found
        return self._layers[1]


def learned_on_start(model: LdsModel) -> NDArray[np.float32]:
    """The learned probability of each pair of the start graph, 0 where it was dropped, float32 [P]."""
    return model.graph.probability_of(model.start.first, model.start.second)
