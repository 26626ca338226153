"""Graphs given beside a table: every form becomes the same undirected graph on the table's ids, or is refused."""

from __future__ import annotations

import networkx
import numpy as np
import pandas as pd
import pytest

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading import graphs as graph_files
from ppr.methods.common.reading.graphs import read_graph
from ppr.methods.lds.tables.table import TableOptions, frame_table

IDS = ["ann", "bob", "cid", "dan", "eve"]


def pairs(graph):
    return {(int(a), int(b)): round(float(p), 4) for a, b, p in zip(graph.first, graph.second, graph.prob, strict=True)}


def write_csv(path, edges):
    path.write_text("source,target,weight\n" + "".join(f"{IDS[a]},{IDS[b]},{w}\n" for a, b, w in edges))


def write_npz(path, edges):
    first, second, weight = zip(*edges, strict=True)
    np.savez(path, rows=np.array(first), cols=np.array(second), prob=np.array(weight))


def write_npz_by_id(path, edges):
    order = [4, 3, 2, 1, 0]
    first, second, weight = zip(*edges, strict=True)
    places = [[order.index(node) for node in ends] for ends in (first, second)]
    np.savez(path, rows=np.array(places[0]), cols=np.array(places[1]), prob=np.array(weight), ids=np.array([IDS[node] for node in order]))


def write_graphml(path, edges, kind=networkx.MultiDiGraph):
    graph = kind()
    graph.add_nodes_from(IDS)
    graph.add_edges_from((IDS[a], IDS[b], {"prob": w}) for a, b, w in edges)
    networkx.write_graphml(graph, path)


FORMS = {"g.csv": write_csv, "g.npz": write_npz, "ids.npz": write_npz_by_id, "g.graphml": write_graphml}


@pytest.mark.parametrize("name", FORMS)
def test_directed_weighted_and_repeated_edges(tmp_path, name):
    FORMS[name](tmp_path / name, [(1, 0, 0.25), (0, 1, 0.75), (2, 1, 1.0), (2, 2, 0.5), (2, 1, 0.5)])
    graph, notes = read_graph(tmp_path / name, IDS)
    assert graph.nodes == 5
    assert pairs(graph) == {(0, 1): 0.75, (1, 2): 1.0}
    assert notes == [
        "1 edges of the graph join a row to itself and are left out",
        "2 edges of the graph are other directions or copies of one and are merged with it",
        "2 rows have no edge in the graph",
    ]


def test_edges_without_weight_are_certain(tmp_path):
    (tmp_path / "g.tsv").write_text("target\tsource\nann\tbob\n")
    np.savez(tmp_path / "g.npz", edges=np.array([[0], [1]]))
    networkx.write_graphml(networkx.Graph([("ann", "bob")]), tmp_path / "g.graphml")
    for name in ("g.tsv", "g.npz", "g.graphml"):
        assert pairs(read_graph(tmp_path / name, IDS)[0]) == {(0, 1): 1.0}


def test_isolated_rows_and_an_empty_graph_are_allowed(tmp_path):
    networkx.write_graphml(networkx.empty_graph(["ann"]), tmp_path / "g.graphml")
    np.savez(tmp_path / "g.npz", rows=np.empty(0, int), cols=np.empty(0, int))
    for name in ("g.graphml", "g.npz"):
        graph, notes = read_graph(tmp_path / name, IDS)
        assert (len(graph), notes) == (0, ["5 rows have no edge in the graph"])


def test_unknown_ids_are_an_error_that_lists_five(tmp_path):
    (tmp_path / "g.csv").write_text("source,target\nann,bob\n" + "".join(f"x{number},ann\n" for number in range(7)))
    networkx.write_graphml(networkx.Graph([("ann", f"x{number}") for number in range(7)]), tmp_path / "g.graphml")
    for name in ("g.csv", "g.graphml"):
        with pytest.raises(PprError, match="7 ids that the table has not: x0, x1, x2, x3, x4 …") as caught:
            read_graph(tmp_path / name, IDS)
        assert "'ann'" in (caught.value.hint or "")


def test_ids_that_look_like_numbers_keep_their_zeros(tmp_path):
    (tmp_path / "g.csv").write_text("source,target\n007,008\n")
    assert pairs(read_graph(tmp_path / "g.csv", ["007", "008"])[0]) == {(0, 1): 1.0}


@pytest.mark.parametrize("weight", ["0", "-0.5", "1.01", "nan", "inf"])
def test_weights_outside_0_to_1(tmp_path, weight):
    (tmp_path / "g.csv").write_text(f"source,target,weight\nann,bob,1\ncid,dan,{weight}\n")
    write_graphml(tmp_path / "g.graphml", [(0, 1, 1.0), (2, 3, float(weight))], networkx.Graph)
    for name in ("g.csv", "g.graphml"):
        with pytest.raises(PprError, match="the edge cid - dan has weight") as caught:
            read_graph(tmp_path / name, IDS)
        assert "divide them" in (caught.value.hint or "")


def test_weights_that_are_no_numbers(tmp_path):
    (tmp_path / "g.csv").write_text("source,target,weight\nann,bob,strong\ncid,dan,1\n")
    with pytest.raises(PprError, match="column 'weight', row 0: 'strong' is not a number"):
        read_graph(tmp_path / "g.csv", IDS)
    write_graphml(tmp_path / "g.graphml", [(0, 1, "strong")], networkx.Graph)
    with pytest.raises(PprError, match="an edge has a 'prob' that is no number"):
        read_graph(tmp_path / "g.graphml", IDS)


def test_tables_that_are_no_edges(tmp_path):
    (tmp_path / "g.csv").write_text("sourc,target\nann,bob\n")
    with pytest.raises(PprError, match="no column 'source'") as caught:
        read_graph(tmp_path / "g.csv", IDS)
    assert caught.value.hint == "did you mean 'sourc'?"
    with pytest.raises(UsageError, match=r"--graph .*g.gml: not a graph of a known kind"):
        read_graph(tmp_path / "g.gml", IDS)


@pytest.mark.parametrize(
    ("arrays", "part"),
    [
        ({"rows": [0]}, "no arrays 'rows' and 'cols'"),
        ({"rows": [0], "cols": [5]}, r"rows 5 are outside \[0, 5\)"),
        ({"rows": [-1], "cols": [0]}, "rows -1 are outside"),
        ({"rows": [0], "cols": [1, 2]}, "not as many integers"),
        ({"rows": [0.0], "cols": [1.0]}, "not as many integers"),
        ({"rows": [0], "cols": [1], "prob": [1.0, 1.0]}, "not a number for each of 1 edges"),
        ({"rows": [0], "cols": [1], "ids": [1, 2]}, "not strings"),
        ({"rows": [0], "cols": [1], "ids": np.array([object()])}, "pickled Python objects"),
    ],
)
def test_npz_that_are_no_edges(tmp_path, arrays, part):
    np.savez(tmp_path / "g.npz", **{name: np.array(array) for name, array in arrays.items()})
    with pytest.raises(PprError, match=part):
        read_graph(tmp_path / "g.npz", IDS)


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha">' + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
HOSTILE = [
    (b"", "not XML"),
    (b"source,target\n", "not XML"),
    (b"<graphml><graph>", "not XML"),
    (b"\x00\x01\x02", "not XML"),
    (b"<html><body/></html>", "not a graphml file"),
    (b"<graphml></graphml>", "not a graphml file"),
    ((LAUGHS + "]><graphml>&i;</graphml>").encode(), "has a document type"),
    (b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><graphml>&a;</graphml>', "has a document type"),
    ((LAUGHS + "]><graphml>&i;</graphml>").encode("utf-16"), "has a document type"),
    (
        b'<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><graph edgedefault="undirected"><node id="ann">'
        b'<data key="no">1</data></node></graph></graphml>',
        "not a graphml file",
    ),
]


@pytest.mark.parametrize(("content", "part"), HOSTILE, ids=range(len(HOSTILE)))
def test_xml_that_is_no_graphml_or_is_dangerous(tmp_path, content, part):
    (tmp_path / "g.graphml").write_bytes(content)
    with pytest.raises(PprError, match=part) as caught:
        read_graph(tmp_path / "g.graphml", IDS)
    assert len(caught.value.message) < 400


def test_a_huge_graphml_is_not_parsed(tmp_path, monkeypatch):
    write_graphml(tmp_path / "g.graphml", [(0, 1, 1.0)])
    monkeypatch.setattr(graph_files, "MAX_XML_BYTES", 100)
    with pytest.raises(PprError, match="more than 0 MiB"):
        read_graph(tmp_path / "g.graphml", IDS)
    with pytest.raises(PprError, match="No such file"):
        read_graph(tmp_path / "absent.graphml", IDS)


def test_a_table_takes_its_graph_by_id(tmp_path):
    (tmp_path / "g.csv").write_text("source,target,prob\nr3,r1,0.5\n")
    cells = pd.DataFrame({"key": [f"r{row}" for row in range(12)], "x": np.arange(12) % 5, "y": ["a", "b"] * 6})
    table = frame_table(cells, "t", TableOptions(label="y", id="key", graph=tmp_path / "g.csv"))
    assert pairs(table.graph) == {(1, 3): 0.5}
    assert "10 rows have no edge in the graph" in table.notes
