"""What a run of LDS leaves: the graph's rows say the same in words and in numbers, and no file is forgotten or left out in silence."""

from __future__ import annotations

import csv
import json
import logging

import networkx as nx
import numpy as np
import pytest
import scipy.sparse
import torch
from torch_geometric.data import Data

from ppr.exports import lds_files
from ppr.exports.lds_files import write_learned_graph, write_results
from ppr.methods.common.reading.pairs import PairGraph
from ppr.methods.common.reading.tables.encoder import TableEncoder
from ppr.methods.common.running.checkpoint import Meta
from ppr.methods.lds.infer import Predictor
from ppr.methods.lds.learning.model import LdsModel
from ppr.methods.lds.network import Weights
from ppr.methods.lds.tables.splits import Split

IDS = ["ann", "bob", "çid", "dan", "eve", "alone"]
CLASSES = ["red", "blue", "green"]
GRAPH = PairGraph.build(6, [0, 0, 1, 2, 3], [1, 2, 2, 4, 4], np.float32([1, 0.1, 1 / 3, 1e-7, 0.5]))


@pytest.fixture(params=["dense", "sparse"])
def predictor(request):
    """Of six rows and weights that nobody trained."""
    rng = np.random.default_rng(1)
    features = rng.standard_normal((6, 2)).astype(np.float32)
    weights = Weights(*(torch.from_numpy(rng.standard_normal(shape).astype(np.float32)) for shape in ((2, 4), (4, 3))))
    notes = {"table": "six", "choice": "{}"}
    model = LdsModel(
        ids=IDS,
        classes=CLASSES,
        features=features if request.param == "dense" else scipy.sparse.csr_matrix(features),
        labels=np.array([0, -1, 1, -1, -1, 2]),
        split=Split([0], [2], [5], []),
        weights=weights,
        graph=GRAPH,
        start=PairGraph.build(6, [0, 4], [1, 5]),
        encoder=TableEncoder((), 2, "none"),
        meta=Meta("lds", "gcn", config={"samples": 3, "seed": 1}, notes=notes),
    )
    return Predictor(model)


def test_words_and_numbers_say_the_same_of_the_rows(predictor, tmp_path):
    known = predictor.known()
    kept = write_learned_graph(predictor, known, tmp_path / "g.json", threshold=0.2, overwrite=False)
    assert len(kept) == 3
    write_learned_graph(predictor, known, tmp_path / "g.pt", threshold=0.2, overwrite=False)
    graph = nx.node_link_graph(json.loads((tmp_path / "g.json").read_text()), edges="edges")
    data = Data(**torch.load(tmp_path / "g.pt", weights_only=True))
    assert data.validate() and (data.num_nodes, data.num_edges) == (6, 6) == (len(graph), 2 * graph.number_of_edges())
    assert data.y.tolist() == [0, -1, 1, -1, -1, 2]
    assert {part: data[f"{part}_mask"].nonzero().flatten().tolist() for part in ("train", "val", "es", "test")} == {
        "train": [0],
        "val": [2],
        "es": [5],
        "test": [],
    }
    np.testing.assert_array_equal(data.x.numpy(), np.asarray(predictor.model.encoder.transform(dense(predictor.model.features))))
    for row, name in enumerate(IDS):
        words = graph.nodes[name]
        assert words.get("label") == {0: "red", 2: "blue", 5: "green"}.get(row)
        assert words.get("split") == {0: "train", 2: "val", 5: "es"}.get(row)
        assert words["predicted"] == CLASSES[data.pred[row]] == known.predicted[row]
        assert np.float32(words["confidence"]) == data.confidence[row].item() == known.probabilities[row].max()


def dense(features):
    return features if isinstance(features, np.ndarray) else features.toarray()


def test_a_run_has_all_its_files_and_says_what_is_left_out(predictor, tmp_path, monkeypatch, caplog):
    write_results(predictor, tmp_path)
    drawn = {"graph.png", "theta_hist.png"}
    assert {path.name for path in tmp_path.iterdir()} == {"predictions.csv", *lds_files.FORMATS, *drawn}
    with (tmp_path / "predictions.csv").open(newline="") as stream:
        assert [row["id"] for row in csv.DictReader(stream)] == IDS
    (tmp_path / "graph.graphml").unlink()
    monkeypatch.setattr(lds_files, "MOST_IN_XML", 2)
    with caplog.at_level(logging.INFO, "ppr"):
        write_results(predictor, tmp_path)
    assert not (tmp_path / "graph.graphml").exists()
    assert "4 edges: graph.graphml was left out" in caplog.text
