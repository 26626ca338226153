"""Why a row got its class: its learned neighbours, which of them are new, and what the prediction would be without each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..network import Adjacency, Features, logits
from .model import LdsModel
from .start import on_device

SLIGHT = 0.01  # a change of probability too small to speak of


@dataclass(frozen=True)
class Neighbour:
    """One pair of a row.

    Args:
        prob: learned.
        start: probability at the start, 0 for a pair that was not in the start graph.
        change: of the predicted class's probability if the pair were removed: positive means that the pair spoke against it.
        becomes: the class predicted without it.
    """

    row: int
    prob: float
    start: float
    change: float
    becomes: int

    @property
    def status(self) -> str:
        """added, removed, weakened or kept, against the start graph."""
        if self.start == 0:
            return "added"
        if self.prob < SLIGHT:
            return "removed"
        return "weakened" if self.prob < self.start - SLIGHT else "kept"


@torch.no_grad()
def explain(model: LdsModel, row: int) -> tuple[NDArray[np.float32], list[Neighbour]]:
    """Class probabilities float32 [C] of a row on the expected graph, and its pairs, the most probable first.

    Predictions here are those of one graph whose edges weigh what they are probable, so that taking a pair out changes nothing else.
    """
    features = Features(on_device(model.features, "cpu"))
    graph = model.graph
    first, second, prob = (torch.from_numpy(part) for part in (graph.first, graph.second, graph.prob))

    def predict(kept: torch.Tensor | None = None) -> NDArray[np.float32]:
        weight = prob if kept is None else prob * kept
        adjacency = Adjacency.of_pairs(first, second, graph.nodes, weight, dtype=torch.float32)
        return logits(model.weights, features, adjacency).softmax(1)[row].numpy()

    whole = predict()
    label = int(whole.argmax())
    starts = dict(_pairs_of(model.start.first, model.start.second, model.start.prob, row))
    found = []
    for place in np.flatnonzero((graph.first == row) | (graph.second == row)).tolist():
        other = int(graph.first[place] + graph.second[place] - row)
        kept = torch.ones_like(prob)
        kept[place] = 0
        without = predict(kept)
        found.append(
            Neighbour(other, float(graph.prob[place]), starts.pop(other, 0.0), float(without[label] - whole[label]), int(without.argmax()))
        )
    found += [Neighbour(other, 0.0, start, 0.0, label) for other, start in starts.items() if start > 0]
    return whole, sorted(found, key=lambda pair: (-pair.prob, -abs(pair.change), pair.row))


def _pairs_of(first: NDArray[np.int64], second: NDArray[np.int64], prob: NDArray[np.float32], row: int) -> list[tuple[int, float]]:
    places = np.flatnonzero((first == row) | (second == row))
    return [(int(first[place] + second[place] - row), float(prob[place])) for place in places]
