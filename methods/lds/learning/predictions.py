"""Predictions as rows of a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .model import LdsModel


def prediction_rows(model: LdsModel, probabilities: NDArray[np.floating]) -> Iterator[dict[str, Any]]:
    """A record for each row of the table: id, predicted class, its probability, that of each class, part of the split, and label."""
    parts = model.split.names(len(model.ids))
    for row, name in enumerate(model.ids):
        label = model.classes[model.labels[row]] if model.labels[row] >= 0 else None
        record = prediction(name, model.classes, probabilities[row])
        yield record | {"split": parts[row], "label": label, "correct": None if label is None else label == record["predicted"]}


def prediction(name: str, classes: list[str], probabilities: NDArray[np.floating]) -> dict[str, Any]:
    """One row's record: id, predicted, confidence, and a probability a class."""
    best = int(probabilities.argmax())
    each = {f"p({label})": round(float(value), 6) for label, value in zip(classes, probabilities, strict=True)}
    return {"id": name, "predicted": classes[best], "confidence": round(float(probabilities[best]), 6), **each}


def as_csv(records: list[dict[str, Any]], columns: Sequence[str]) -> str:
    """Records with the keys `columns` as csv, with a header also where there are none; None is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()
