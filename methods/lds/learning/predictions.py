"""Predictions as arrays, as records, and as a csv file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...common.reading.files import atomic_open, csv_text
from .model import LdsModel

#: What is said of a row besides, where it is one that the graph was learned on.
KNOWN = ("split", "label", "correct")


@dataclass(frozen=True)
class Predictions:
    """Classes of M rows.

    Args:
        ids: names of the rows.
        classes: names of the C classes.
        probabilities: float32 [M, C].
        parts: of the split, "" where a row was in none; None where the rows are new.
        labels: names of classes, None where there was none; None where the rows are new.
        neighbours: of new rows: names of the known rows that each was joined to, nearest first, and the probability of the edge.
        notes: what is odd about the rows, a sentence each.
    """

    ids: Sequence[str]
    classes: Sequence[str]
    probabilities: NDArray[np.float32]
    parts: Sequence[str] | None = None
    labels: Sequence[str | None] | None = None
    neighbours: Sequence[Sequence[tuple[str, float]]] | None = None
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def predicted(self) -> list[str]:
        """The most probable class of each row."""
        return [self.classes[best] for best in self.probabilities.argmax(1)]

    @property
    def columns(self) -> list[str]:
        """The keys of a record."""
        return ["id", "predicted", "confidence", *(f"p({label})" for label in self.classes), *(KNOWN if self.labels is not None else ())]

    def unlabelled(self) -> Predictions:
        """Those of the rows that had no label."""
        labels, parts = self.labels or [None] * len(self), self.parts or [""] * len(self)
        rows = [row for row, label in enumerate(labels) if label is None]
        return replace(
            self,
            ids=[self.ids[row] for row in rows],
            probabilities=self.probabilities[rows],
            parts=[parts[row] for row in rows],
            labels=[None] * len(rows),
        )

    def records(self, joined: Literal["pairs", "names"] | None = None) -> list[dict[str, Any]]:
        """A record a row: id, predicted class, its probability, that of each class; of known rows part of the split, label, and whether
        it was predicted.

        Args:
            joined: of new rows, add the neighbours: `pairs` of id and probability, or their `names`, with spaces between.
        """
        found: list[dict[str, Any]] = []
        for row, (name, best) in enumerate(zip(self.ids, self.predicted, strict=True)):
            each = [round(float(value), 6) for value in self.probabilities[row]]
            values: list[Any] = [name, best, max(each), *each]
            if self.labels is not None and self.parts is not None:
                label = self.labels[row]
                values += [self.parts[row], label, None if label is None else label == best]
            found.append(dict(zip(self.columns, values, strict=True)))
        for record, pairs in zip(found, self.neighbours or (), strict=True) if joined else ():
            each_pair = [{"id": name, "prob": round(prob, 4)} for name, prob in pairs]
            record["neighbours"] = each_pair if joined == "pairs" else " ".join(name for name, _prob in pairs)
        return found

    def save(self, path: Path, *, overwrite: bool, joined: bool = False) -> Path:
        """Write them as csv, whole or not at all; with `joined` also the names of the neighbours.

        Raises:
            UsageError: the file exists already and shall not be overwritten.
            PprError: the folder cannot be written.
        """
        columns = [*self.columns, "neighbours"] if joined else self.columns
        with atomic_open(path, overwrite=overwrite) as stream:
            stream.write(csv_text(self.records("names" if joined else None), columns).encode())
        return path


def of_known_rows(model: LdsModel, probabilities: NDArray[np.float32]) -> Predictions:
    """Of the rows that the graph was learned on, by their class probabilities float32 [N, C]."""
    labels = [model.classes[label] if label >= 0 else None for label in model.labels]
    return Predictions(model.ids, model.classes, probabilities, model.split.names(len(model.ids)), labels)
