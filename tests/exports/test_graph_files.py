"""Every format carries the same graph, and what reads it back gets the one that was written."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from ppr.exports.graph_files import SUFFIXES, NodeTable, shortest, write_graph
from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading.graphs import read_graph
from ppr.methods.common.reading.pairs import PairGraph

IDS = ["ann", 'b"o,b', "çid & <d>", "NA", "1e5", "alone"]
GRAPH = PairGraph.build(6, [0, 0, 1, 2, 3, 1], [1, 2, 2, 4, 4, 4], np.float32([1, 0.1, 1 / 3, 1e-7, 0.5, 0]))
COLUMNS = {
    "label": ["red", None, "blue", None, None, "red"],
    "predicted": ["red", "blue", "blue", "red", "blue", "green"],
    "confidence": shortest(np.float32([0.9, 0.6, 0.7, 0.51, np.nan, 1])),
    "degree": [1, 3, 2, 1, 3, 0],
    "seen": [True, False, False, False, False, True],
}
NODES = NodeTable(IDS, COLUMNS, {"y": np.array([2, -1, 0, -1, -1, 2]), "seen_mask": np.array(COLUMNS["seen"])})
EDGES = {frozenset((IDS[a], IDS[b])): p for a, b, p in zip(GRAPH.first, GRAPH.second, GRAPH.prob, strict=True) if p > 0}


def table_edges(rows):
    found = {frozenset((a, b)): np.float32(p) for a, b, p in rows}
    assert len(found) == len(rows)
    return found


def from_networkx(graph):
    assert set(graph.nodes) == set(IDS)
    return table_edges([(a, b, data["prob"]) for a, b, data in graph.edges(data=True)])


def from_csv(path):
    with path.open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["source", "target", "prob"]
    return table_edges(rows)


def from_npz(path):
    with np.load(path, allow_pickle=False) as arrays:
        assert [arrays[name].dtype for name in ("rows", "cols", "prob")] == [np.int64, np.int64, np.float32]
        names = arrays["ids"]
        assert names.tolist() == IDS
        return table_edges(list(zip(names[arrays["rows"]], names[arrays["cols"]], arrays["prob"], strict=True)))


def from_pyg(path):
    data = torch.load(path, weights_only=True)
    ends, half = data["edge_index"], data["edge_index"].shape[1] // 2
    assert torch.equal(ends[:, half:], ends[:, :half].flip(0)), "both directions"
    assert torch.equal(data["edge_attr"][half:], data["edge_attr"][:half])
    return table_edges([(IDS[a], IDS[b], p) for (a, b), p in zip(ends.T[:half].tolist(), data["edge_attr"][:half].numpy(), strict=True)])


READERS = {
    "graphml": lambda path: from_networkx(nx.read_graphml(path)),
    "gexf": lambda path: from_networkx(nx.read_gexf(path)),
    "json": lambda path: from_networkx(nx.node_link_graph(json.loads(path.read_text()), edges="edges")),
    "csv": from_csv,
    "npz": from_npz,
    "pyg": from_pyg,
}


@pytest.mark.parametrize("format", SUFFIXES)
def test_every_format_carries_the_same_edges(tmp_path, format):
    """Exactly the float32 probabilities, without the pair of probability 0; by suffix as by name."""
    path = write_graph(GRAPH, NODES, tmp_path / f"g{SUFFIXES[format].upper()}", overwrite=False)
    assert READERS[format](path) == EDGES
    named = write_graph(GRAPH, NODES, tmp_path / "no-suffix", format, overwrite=False)
    assert READERS[format](named) == EDGES
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("suffix", [".csv", ".npz", ".graphml"])
def test_a_written_graph_is_read_back(tmp_path, suffix):
    graph, _notes = read_graph(write_graph(GRAPH, NODES, tmp_path / f"g{suffix}", overwrite=False), IDS)
    expected = GRAPH.above(0)
    assert graph.nodes == 6
    for name in ("first", "second", "prob"):
        np.testing.assert_array_equal(getattr(graph, name), getattr(expected, name))


readable = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=6)


@settings(max_examples=40, deadline=None)
@given(ids=st.lists(readable, min_size=2, max_size=5, unique=True), suffix=st.sampled_from([".csv", ".npz", ".graphml"]))
def test_any_ids_survive(tmp_path_factory, ids, suffix):
    graph = PairGraph.build(len(ids), np.arange(len(ids) - 1), np.arange(1, len(ids)))
    path = write_graph(graph, NodeTable(ids), tmp_path_factory.mktemp("ids") / f"g{suffix}", overwrite=False)
    found, _notes = read_graph(path, ids)
    np.testing.assert_array_equal(found.second, graph.second)


@pytest.mark.parametrize("format", ["graphml", "gexf", "json"])
def test_nodes_have_what_is_known_about_them(tmp_path, format):
    path = write_graph(GRAPH, NODES, tmp_path / "g", format, overwrite=False)
    read = {"graphml": nx.read_graphml, "gexf": nx.read_gexf, "json": lambda path: nx.node_link_graph(json.loads(path.read_text()))}
    nodes = dict(read[format](path).nodes(data=True))
    assert nodes["ann"] == {"label": "red", "predicted": "red", "confidence": 0.9, "degree": 1, "seen": True}
    unknown = {"label": ""} if format == "gexf" else {}
    assert nodes["1e5"] == unknown | {"predicted": "blue", "degree": 3, "seen": False}, "a confidence that is no number is left out"


@pytest.mark.parametrize("features", [None, np.arange(12, dtype=np.float32).reshape(6, 2)])
def test_a_pyg_file_becomes_a_data_object(tmp_path, features):
    """With isolated nodes at the end too, whether or not there are features that tell how many there are."""
    nodes = NODES if features is None else replace(NODES, tensors={**NODES.tensors, "x": features})
    data = Data(**torch.load(write_graph(GRAPH, nodes, tmp_path / "g.pt", overwrite=False), weights_only=True))
    assert data.validate()
    assert data.is_undirected()
    assert (data.num_nodes, data.num_edges, data.has_isolated_nodes()) == (6, 10, True)
    assert data.y.tolist() == [2, -1, 0, -1, -1, 2] and data.seen_mask.tolist() == COLUMNS["seen"]
    if features is None:
        assert data.x is None
    else:
        assert torch.equal(data.x, torch.from_numpy(features))
        assert all(isinstance(value, torch.Tensor) for value in data.to_dict().values())


@pytest.mark.parametrize("format", ["graphml", "gexf"])
def test_what_xml_cannot_hold_is_written_readably(tmp_path, caplog, format):
    ids = ["a\x01", "a\\x01", "\ud800", "tab\tand\nline"]
    nodes = NodeTable(ids, {"label": ["bad\x00", None, None, None], "predicted": ["bad\x00"] * 4, "number": [1, 2, 3, 4]})
    path = write_graph(PairGraph.build(4, [0, 1, 2], [1, 2, 3]), nodes, tmp_path / "g", format, overwrite=False)
    graph = {"graphml": nx.read_graphml, "gexf": nx.read_gexf}[format](path)
    assert list(graph.nodes) == ["a\\x01-2", "a\\x01", "\\ud800", "tab\tand\nline"]
    assert graph.number_of_edges() == 3
    assert graph.nodes["a\\x01-2"]["label"] == "bad\\x00"
    assert re.search(r"3 ids or texts have control characters", caplog.text)


def test_control_characters_stay_in_json_and_npz_and_break_no_csv(tmp_path):
    ids = ["a\x01", "\ud800"]
    nodes = NodeTable(ids, {"note": [None, None]})
    graph = PairGraph.build(2, [0], [1])
    paths = {suffix: write_graph(graph, nodes, tmp_path / f"g{suffix}", overwrite=False) for suffix in (".json", ".npz", ".csv")}
    assert [node["id"] for node in json.loads(paths[".json"].read_text())["nodes"]] == ids
    assert np.load(paths[".npz"])["ids"].tolist() == ids
    assert paths[".csv"].read_text(encoding="utf-8") == "source,target,prob\na\x01,\\ud800,1.0\n"


@pytest.mark.parametrize("format", SUFFIXES)
def test_a_graph_without_pairs(tmp_path, format):
    path = write_graph(PairGraph.build(6, [], []), NODES, tmp_path / "g", format, overwrite=False)
    assert READERS[format](path) == {}


def test_existing_files_and_unknown_formats(tmp_path):
    path = tmp_path / "g.csv"
    path.write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        write_graph(GRAPH, NODES, path, overwrite=False)
    assert path.read_text() == "mine"
    write_graph(GRAPH, NODES, path, overwrite=True)
    assert from_csv(path) == EDGES
    with pytest.raises(UsageError, match=r"'\.dot' is no suffix") as caught:
        write_graph(GRAPH, NODES, tmp_path / "g.dot", overwrite=False)
    assert all(suffix in caught.value.hint for suffix in SUFFIXES.values())
    with pytest.raises(UsageError, match="no graph format") as caught:
        write_graph(GRAPH, NODES, tmp_path / "g", "graphmel", overwrite=False)
    assert "graphml" in caught.value.hint
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(PprError, match="No space left"):
        write_graph(GRAPH, NODES, tmp_path / "g.npz", overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_nodes_that_do_not_fit(tmp_path):
    with pytest.raises(ValueError, match="6 rows for a graph of 7"):
        write_graph(PairGraph.build(7, [], []), NODES, tmp_path / "g.csv", overwrite=False)
    with pytest.raises(ValueError, match="twice"):
        NodeTable(["a", "a"])
    with pytest.raises(ValueError, match="'label' has 1 values for 2 nodes"):
        NodeTable(["a", "b"], {"label": [None]})
    with pytest.raises(ValueError, match="'y' has 3 values for 2 nodes"):
        NodeTable(["a", "b"], tensors={"y": np.zeros(3)})
