"""A graph that LDS learned, as a file for other programs: its rows with label, prediction and part of the split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ppr.methods.common.reading.pairs import PairGraph
from ppr.methods.lds.learning.model import LdsModel

from .graph_files import NodeTable, graph_format, shortest, write_graph


def write_learned_graph(
    model: LdsModel,
    probabilities: NDArray[np.float32],
    path: Path,
    format: str | None = None,
    *,
    threshold: float,
    overwrite: bool,
) -> PairGraph:
    """Write the pairs of a probability of at least `threshold`, and of each row its label, predicted class, confidence and part.

    A pyg file has y int64 [N], -1 where unknown; pred int64 [N]; confidence float32 [N]; train_mask, val_mask, es_mask and test_mask
    bool [N]; and x float32 [N, n], sparse features written dense.

    Args:
        probabilities: of the classes of each row, float32 [N, C].
        format: as for `write_graph`, which says what else is raised.

    Returns:
        what was written.
    """
    kept = model.graph.above(threshold)
    nodes = with_tensors(model, probabilities) if graph_format(path, format) == "pyg" else with_columns(model, probabilities)
    write_graph(kept, nodes, path, format, overwrite=overwrite)
    return kept


def with_columns(model: LdsModel, probabilities: NDArray[np.float32]) -> NodeTable:
    """The rows by words: label, predicted, confidence, split."""
    return NodeTable(
        model.ids,
        {
            "label": [model.classes[label] if label >= 0 else None for label in model.labels],
            "predicted": [model.classes[label] for label in probabilities.argmax(1)],
            "confidence": shortest(probabilities.max(1)),
            "split": [part or None for part in model.split.names(len(model.ids))],
        },
    )


def with_tensors(model: LdsModel, probabilities: NDArray[np.float32]) -> NodeTable:
    """The rows by numbers: y, pred, confidence, a mask a part, and x."""
    rows = np.arange(len(model.ids))
    tensors = {"y": model.labels, "pred": probabilities.argmax(1), "confidence": probabilities.max(1)}
    tensors |= {f"{part}_mask": np.isin(rows, members) for part, members in model.split.parts.items()}
    tensors["x"] = model.features if isinstance(model.features, np.ndarray) else model.features.toarray()
    return NodeTable(model.ids, tensors=tensors)
