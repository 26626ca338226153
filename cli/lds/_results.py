"""The files that a training leaves in its run directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import output

if TYPE_CHECKING:
    from ppr.methods.lds.learning.model import LdsModel

MOST_IN_XML = 300_000  # edges
THRESHOLD = 0.01  # rarer edges are left out of the files for other programs


def write_results(model: LdsModel, folder: Path) -> None:
    """predictions.csv, the graph in four formats, and pictures."""
    import numpy as np

    from ppr.exports.lds_graph import write_learned_graph
    from ppr.methods.common.reading.files import atomic_open
    from ppr.methods.common.reading.pairs import PairGraph
    from ppr.methods.lds.learning.predictions import as_csv, prediction_rows
    from ppr.methods.lds.pictures import draw_graph, draw_histogram

    seed = int(model.meta.config["seed"])
    probabilities = model.probabilities(seed=seed)
    records = list(prediction_rows(model, probabilities))
    with atomic_open(folder / "predictions.csv", overwrite=True) as stream:
        stream.write(as_csv(records, list(records[0])).encode())
    graph = model.graph.above(THRESHOLD)
    formats = {"graph.npz": "npz", "edges.csv": "csv", "pyg_data.pt": "pyg"}
    if len(graph) <= MOST_IN_XML:
        formats["graph.graphml"] = "graphml"
    else:
        output.note(f"{len(graph):,} edges: graph.graphml was left out, which takes gigabytes at that size; `ppr lds graph` writes it")
    for name, format in formats.items():
        write_learned_graph(model, probabilities, folder / name, format, threshold=THRESHOLD, overwrite=True)
    draw_graph(graph, probabilities.argmax(1), model.labels, model.classes, folder / "graph.png", seed=seed)
    first = np.concatenate([model.graph.first, model.start.first])
    second = np.concatenate([model.graph.second, model.start.second])
    union = PairGraph.build(len(model.ids), first, second)
    before, after = (one.probability_of(union.first, union.second) for one in (model.start, model.graph))
    draw_histogram(after, before, folder / "theta_hist.png")


def write_report(summary: dict[str, Any], folder: Path) -> None:
    """report.json: every number of every seed."""
    from ppr.methods.common.reading.files import atomic_open

    with atomic_open(folder / "report.json") as stream:
        stream.write((json.dumps(output.finite(summary), indent=1) + "\n").encode())
