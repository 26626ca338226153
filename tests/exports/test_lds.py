"""The exported GCN is the trained one, on any graph."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
import torch

from ppr.exports import lds
from ppr.exports.graph_files import NodeTable, write_graph
from ppr.exports.onnx import signature
from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.measuring.onnx_session import open_session
from ppr.methods.common.reading.pairs import PairGraph
from ppr.methods.lds.network import Weights

WEIGHTS = Weights.glorot(5, 16, 3, torch.Generator().manual_seed(3), torch.zeros(1))
SIZES = [(1, 0), (2, 1), (9, 0), (30, 100), (500, 3000)]


def exported(out, **changes):
    options = {"form": "edges", "opset": 18, "metadata": {"method": "lds", "classes": ["a", "b", "c"]}, "overwrite": False}
    return lds.export_gcn(WEIGHTS, out, **options | changes)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Both forms in both formats."""
    folder = tmp_path_factory.mktemp("gcn")
    reports = {}
    for form in ("edges", "dense"):
        for format in ("onnx", "torchscript"):
            reports[form, format] = exported(folder / f"{form}.{format}", form=form, format=format)
    return folder, reports


def example(nodes, pairs, seed=0):
    rng = np.random.default_rng(seed)
    graph = PairGraph.build(nodes, *rng.integers(0, nodes, (2, pairs)), rng.random(pairs))
    return rng.normal(0, 1, (nodes, 5)).astype(np.float32), graph


def inputs(form, features, graph):
    if form == "edges":
        return [features, np.stack([graph.first, graph.second]), graph.prob]
    adjacency = np.zeros((graph.nodes, graph.nodes), np.float32)
    adjacency[graph.first, graph.second] = adjacency[graph.second, graph.first] = graph.prob
    return [features, adjacency]


def by_definition(features, graph):
    """softmax(Â relu(Â X W0) W1) in float64."""
    adjacency = inputs("dense", features, graph)[1].astype(np.float64) + np.eye(graph.nodes)
    scale = 1 / np.sqrt(adjacency.sum(1))
    normal = scale[:, None] * adjacency * scale
    first, second = (part.double().numpy() for part in WEIGHTS)
    logits = normal @ np.maximum(normal @ features @ first, 0) @ second
    exponents = np.exp(logits - logits.max(1, keepdims=True))
    return exponents / exponents.sum(1, keepdims=True)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["edges", "dense"])
@pytest.mark.parametrize("size", SIZES)
def test_it_computes_the_gcn_on_the_expected_graph(files, form, size):
    features, graph = example(*size)
    arrays, expected = inputs(form, features, graph), by_definition(features, graph)
    runtime = open_session(files[0] / f"{form}.onnx", threads=1)
    found = runtime.run(["probabilities"], dict(zip([node.name for node in runtime.get_inputs()], arrays, strict=True)))[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    module = torch.jit.load(files[0] / f"{form}.torchscript")
    np.testing.assert_allclose(module(*map(torch.from_numpy, arrays)), expected, atol=1e-5)


def test_the_direction_of_a_pair_does_not_matter(files):
    features, graph = example(30, 100)
    runtime = open_session(files[0] / "edges.onnx", threads=1)
    ends = np.stack([graph.first, graph.second])
    feeds = [{"features": features, "edge_index": edges, "edge_prob": graph.prob} for edges in (ends, np.ascontiguousarray(ends[::-1]))]
    np.testing.assert_allclose(*(runtime.run(None, feed)[0] for feed in feeds), atol=1e-6)


def test_it_takes_the_arrays_of_a_graph_file(files, tmp_path):
    features, graph = example(30, 100)
    nodes = NodeTable([str(row) for row in range(30)])
    with np.load(write_graph(graph, nodes, tmp_path / "g.npz", overwrite=False)) as arrays:
        feed = {"features": features, "edge_index": np.stack([arrays["rows"], arrays["cols"]]), "edge_prob": arrays["prob"]}
        found = open_session(files[0] / "edges.onnx", threads=1).run(None, feed)[0]
    np.testing.assert_allclose(found, by_definition(features, graph), atol=1e-5)


def test_names_axes_and_metadata(files):
    edges, dense = (files[0] / f"{form}.onnx" for form in ("edges", "dense"))
    outputs = {"probabilities": "float32 [nodes, 3]"}
    expected = {"features": "float32 [nodes, 5]", "edge_index": "int64 [2, edges]", "edge_prob": "float32 [edges]"}
    assert signature(edges) == (expected, outputs)
    assert signature(dense) == ({"features": "float32 [nodes, 5]", "adjacency": "float32 [nodes, nodes]"}, outputs)
    about = {entry.key: entry.value for entry in onnx.load(edges).metadata_props}
    assert about == {"method": "lds", "classes": json.dumps(["a", "b", "c"]), "form": "edges"}
    extra = {"ppr.json": ""}
    torch.jit.load(files[0] / "dense.torchscript", _extra_files=extra)
    assert json.loads(extra["ppr.json"])["form"] == "dense"


def test_the_report_tells_how_it_was_checked(files):
    folder, reports = files
    for (form, format), report in reports.items():
        path = folder / f"{form}.{format}"
        assert (report["path"], report["bytes"], report["form"]) == (str(path), path.stat().st_size, form)
        assert report["parity"]["cases"] == len(lds.CASES)
        assert 0 <= report["parity"]["max_difference"] <= 1e-5


def test_the_newest_opset(tmp_path):
    exported(tmp_path / "m.onnx", opset=23)
    assert [entry.version for entry in onnx.load(tmp_path / "m.onnx").opset_import if entry.domain == ""] == [23]
    with pytest.raises(PprError, match="18 to 23"):
        exported(tmp_path / "n.onnx", opset=17)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["edges", "dense"])
@pytest.mark.parametrize("format", ["onnx", "torchscript"])
def test_a_network_that_computes_no_numbers_is_not_written(tmp_path, form, format):
    """Finite weights of which the second layer makes infinity minus infinity."""
    large = Weights(WEIGHTS.first.sign() * 3e38, WEIGHTS.second)
    with pytest.raises(PprError, match="torch computes NaN or infinity in 'probabilities'; not written"):
        lds.export_gcn(large, tmp_path / "m", form=form, opset=18, metadata={}, overwrite=False, format=format)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", ["onnx", "torchscript"])
def test_a_file_that_differs_from_torch_is_not_written(tmp_path, monkeypatch, format):
    """A normalisation without self loops is another network: the comparison must see it."""
    monkeypatch.setattr(lds.DenseGCN, "forward", lambda self, x, a: ((a @ x @ self.first).relu() @ self.second).softmax(1))
    with pytest.raises(PprError, match="differs from torch"):
        exported(tmp_path / "m", form="dense", format=format)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    broken = Weights(WEIGHTS.first, WEIGHTS.second.clone().index_fill_(0, torch.tensor([0]), -float("inf")))
    with pytest.raises(PprError, match=r"m\.onnx: the weight 'second' is not finite; not written"):
        lds.export_gcn(broken, tmp_path / "m.onnx", form="edges", opset=18, metadata={}, overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_kept_unless_asked(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        exported(path)
    assert path.read_text() == "mine"
    exported(path, form="dense", overwrite=True)
    assert len(onnx.load(path).graph.input) == 2
