"""Why a row got its class: its learned neighbours, which of them are new, and what the prediction would be without each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class Explanation:
    """Why a row got its class.

    Args:
        row: its position.
        probabilities: of the classes, float32 [C], on the expected graph.
        neighbours: its pairs, the most probable first.
    """

    model: LdsModel
    row: int
    probabilities: NDArray[np.float32]
    neighbours: list[Neighbour]

    @property
    def predicted(self) -> str:
        """The most probable class."""
        return self.model.classes[int(self.probabilities.argmax())]

    @property
    def label(self) -> str | None:
        """The class that the table says, if it says one."""
        return self._label(self.row)

    def records(self, most: int) -> list[dict[str, Any]]:
        """A record of each of the first `most` pairs."""
        parts = self.model.split.names(len(self.model.ids))
        return [
            {
                "neighbour": self.model.ids[pair.row],
                "label": self._label(pair.row),
                "used for": parts[pair.row] or None,
                "prob": round(pair.prob, 4),
                "start": round(pair.start, 4),
                "status": pair.status,
                "change": round(pair.change, 4),
                "without it": self.model.classes[pair.becomes],
            }
            for pair in self.neighbours[:most]
        ]

    def _label(self, row: int) -> str | None:
        number = int(self.model.labels[row])
        return self.model.classes[number] if number >= 0 else None


@torch.no_grad()
def explain(model: LdsModel, row: int) -> Explanation:
    """Class probabilities of a row on the expected graph, and what each of its pairs does to them.

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
    return Explanation(model, row, whole, sorted(found, key=lambda pair: (-pair.prob, -abs(pair.change), pair.row)))


def _pairs_of(first: NDArray[np.int64], second: NDArray[np.int64], prob: NDArray[np.float32], row: int) -> list[tuple[int, float]]:
    places = np.flatnonzero((first == row) | (second == row))
    return [(int(first[place] + second[place] - row), float(prob[place])) for place in places]
