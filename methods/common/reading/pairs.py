"""Undirected graphs as lists of pairs with a probability each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

MAX_NODES = 1 << 31  # first * nodes + second, the key that pairs are sorted by, must fit into an int64


@dataclass(frozen=True)
class PairGraph:
    """An undirected graph with a probability on each pair.

    Args:
        nodes: N; nodes are 0 … N - 1, and those without a pair are isolated.
        first: int64 [P].
        second: int64 [P]; first < second, sorted by (first, second), each pair once.
        prob: float32 [P] in [0, 1].
    """

    nodes: int
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    prob: NDArray[np.float32]

    @classmethod
    def build(cls, nodes: int, first: ArrayLike, second: ArrayLike, prob: ArrayLike | None = None) -> PairGraph:
        """A graph of pairs in any order and direction: self loops are dropped, and a pair that comes twice keeps its larger
        probability.

        Args:
            nodes: N >= 0.
            first: integers [E] in [0, N).
            second: integers [E] in [0, N).
            prob: numbers [E] in [0, 1]; without it every pair has probability 1.

        Raises:
            ValueError: lengths that differ, an index outside [0, N), or a probability outside [0, 1] (or NaN).
        """
        one, other = np.asarray(first, np.int64), np.asarray(second, np.int64)
        weight = np.ones(one.shape, np.float32) if prob is None else np.asarray(prob, np.float32)
        if one.ndim != 1 or one.shape != other.shape or one.shape != weight.shape:
            raise ValueError(f"pairs of lengths {one.shape}, {other.shape} and probabilities {weight.shape}")
        if not 0 <= nodes <= MAX_NODES:
            raise ValueError(f"a graph of {nodes} nodes")
        if one.size and not (min(one.min(), other.min()) >= 0 and max(one.max(), other.max()) < nodes):
            raise ValueError(f"a pair with a node outside [0, {nodes})")
        if not ((weight >= 0) & (weight <= 1)).all():
            raise ValueError("a probability outside [0, 1]")
        loop = one == other
        low, high, weight = np.minimum(one, other)[~loop], np.maximum(one, other)[~loop], weight[~loop]
        if not low.size:
            return cls(nodes, low, high, weight)
        key = low * nodes + high
        order = np.argsort(key, kind="stable")
        starts = np.flatnonzero(np.diff(key[order], prepend=-1))
        chosen = order[starts]
        return cls(nodes, low[chosen], high[chosen], np.maximum.reduceat(weight[order], starts))

    def __len__(self) -> int:
        """The number of pairs, those of probability 0 included."""
        return len(self.first)

    def above(self, threshold: float) -> PairGraph:
        """The pairs with a probability of at least `threshold`, and more than 0."""
        kept = (self.prob >= threshold) & (self.prob > 0)
        return PairGraph(self.nodes, self.first[kept], self.second[kept], self.prob[kept])

    def probability_of(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float32]:
        """The probability of pairs first < second, int64 [n] each: float32 [n], 0 for those that are not in the graph."""
        if not len(self):
            return np.zeros(len(first), np.float32)
        own, keys = self.first * self.nodes + self.second, first * self.nodes + second
        place = np.clip(np.searchsorted(own, keys), 0, len(own) - 1)
        return np.where(own[place] == keys, self.prob[place], 0).astype(np.float32)

    def union(self, other: PairGraph) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The pairs that are in either of two graphs on the same nodes, int64 [n] each, first < second, sorted, each once."""
        keys = np.union1d(self.first * self.nodes + self.second, other.first * self.nodes + other.second)
        first, second = np.divmod(keys, max(self.nodes, 1))
        return first, second

    def homophily(self, labels: NDArray[np.integer]) -> float:
        """The fraction of pairs that join equal labels, each pair counting with its probability.

        Args:
            labels: integers [N]; a pair with a label below 0 (unknown) is not counted.

        Returns:
            A number in [0, 1]; NaN where no pair with two known labels has a probability above 0.

        Raises:
            ValueError: not one label a node.
        """
        if labels.shape != (self.nodes,):
            raise ValueError(f"labels {labels.shape} for {self.nodes} nodes")
        ends = labels[self.first], labels[self.second]
        weight = self.prob * ((ends[0] >= 0) & (ends[1] >= 0))
        total = float(weight.sum(dtype=np.float64))
        return float((weight * (ends[0] == ends[1])).sum(dtype=np.float64)) / total if total else float("nan")
