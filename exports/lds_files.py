"""What LDS learned, as files for people and other programs: predictions, pictures, and the graph with what is known of its rows."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from ppr.methods.common.reading.pairs import PairGraph
from ppr.methods.lds.infer import Predictor
from ppr.methods.lds.learning.predictions import Predictions
from ppr.methods.lds.pictures import draw_graph, draw_histogram

from .graph_files import NodeTable, graph_format, shortest, write_graph

log = logging.getLogger("ppr")

THRESHOLD = 0.01  # rarer edges are left out of a run's files
FORMATS = {"graph.npz": "npz", "edges.csv": "csv", "pyg_data.pt": "pyg", "graph.graphml": "graphml"}
MOST_IN_XML = 300_000  # edges


def write_results(predictor: Predictor, folder: Path) -> None:
    """predictions.csv, the graph in four formats, graph.png and theta_hist.png, over what is there."""
    model = predictor.model
    predictions = predictor.known(seed=model.seed)
    predictions.save(folder / "predictions.csv", overwrite=True)
    graph = model.graph.above(THRESHOLD)
    for name, format in FORMATS.items():
        if format == "graphml" and len(graph) > MOST_IN_XML:
            log.info("%s edges: %s was left out, which takes gigabytes at that size; `ppr lds graph` writes it", f"{len(graph):,}", name)
            continue
        write_learned_graph(predictor, predictions, folder / name, format, threshold=THRESHOLD, overwrite=True)
    draw_graph(graph, predictions.probabilities.argmax(1), model.labels, model.classes, folder / "graph.png", seed=model.seed)
    after, before = (one.probability_of(*model.graph.union(model.start)) for one in (model.graph, model.start))
    draw_histogram(after, before, folder / "theta_hist.png")


def write_learned_graph(
    predictor: Predictor, predictions: Predictions, path: Path, format: str | None = None, *, threshold: float, overwrite: bool
) -> PairGraph:
    """Write the pairs of a probability of at least `threshold`, and of each row its label, predicted class, confidence and part.

    A pyg file has y int64 [N], -1 where unknown; pred int64 [N]; confidence float32 [N]; train_mask, val_mask, es_mask and test_mask
    bool [N]; and x float32 [N, n], sparse features written dense.

    Args:
        predictions: `predictor.known()`.
        format: as for `write_graph`, which says what is raised.

    Returns:
        what was written.
    """
    kept = predictor.model.graph.above(threshold)
    nodes = with_tensors(predictor, predictions) if graph_format(path, format) == "pyg" else with_columns(predictions)
    write_graph(kept, nodes, path, format, overwrite=overwrite)
    return kept


def with_columns(predictions: Predictions) -> NodeTable:
    """The rows by words: label, predicted, confidence, split."""
    return NodeTable(
        predictions.ids,
        {
            "label": predictions.labels or [None] * len(predictions),
            "predicted": predictions.predicted,
            "confidence": shortest(predictions.probabilities.max(1)),
            "split": [part or None for part in predictions.parts or [""] * len(predictions)],
        },
    )


def with_tensors(predictor: Predictor, predictions: Predictions) -> NodeTable:
    """The rows by numbers: y, pred, confidence, a mask a part, and x."""
    model, probabilities = predictor.model, predictions.probabilities
    rows = np.arange(len(model.ids))
    tensors = {"y": model.labels, "pred": probabilities.argmax(1), "confidence": probabilities.max(1)}
    tensors |= {f"{part}_mask": np.isin(rows, members) for part, members in model.split.parts.items()}
    tensors["x"] = model.features if isinstance(model.features, np.ndarray) else model.features.toarray()
    return NodeTable(model.ids, tensors=tensors)
