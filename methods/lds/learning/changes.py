"""What learning did to a graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...common.reading.files import atomic_open, csv_text
from .model import LdsModel


@dataclass(frozen=True)
class Changes:
    """Pairs that are likely edges before or after.

    Args:
        first, second: int64 [P].
        before, after: probabilities, float32 [P].
        likely: the probability from which a pair counts as an edge.
        homophily: fraction of edges between equal labels, over labelled rows, before and after.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    before: NDArray[np.float32]
    after: NDArray[np.float32]
    likely: float
    homophily: tuple[float, float]

    @property
    def status(self) -> NDArray[np.str_]:
        """kept, added or removed."""
        was, stays = self.before >= self.likely, self.after >= self.likely
        return np.where(was & stays, "kept", np.where(stays, "added", "removed"))

    def counts(self) -> dict[str, float | int]:
        """Numbers of edges, and the homophily before and after."""
        status = self.status
        counted: dict[str, float | int] = {name: int((status == name).sum()) for name in ("kept", "added", "removed")}
        return counted | {"homophily_before": self.homophily[0], "homophily_after": self.homophily[1]}


def changes(model: LdsModel, likely: float) -> Changes:
    """The pairs of a model whose probability was or is at least `likely`."""
    before, after = model.start.above(likely), model.graph.above(likely)
    first, second = before.union(after)
    probabilities = [graph.probability_of(first, second) for graph in (model.start, model.graph)]
    homophily = before.homophily(model.labels), after.homophily(model.labels)
    return Changes(first, second, probabilities[0], probabilities[1], likely, homophily)


def write_changes(found: Changes, model: LdsModel, path: Path) -> None:
    """A line a pair: source, target, before, after, status. The removed ones first, then the added."""
    order = {"removed": 0, "added": 1, "kept": 2}
    status: list[str] = found.status.tolist()
    places = sorted(range(len(status)), key=lambda place: (order[status[place]], place))
    records = [
        {
            "source": model.ids[found.first[place]],
            "target": model.ids[found.second[place]],
            "before": round(float(found.before[place]), 6),
            "after": round(float(found.after[place]), 6),
            "status": status[place],
        }
        for place in places
    ]
    with atomic_open(path) as stream:
        stream.write(csv_text(records, ("source", "target", "before", "after", "status")).encode())
